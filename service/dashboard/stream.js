export class StreamPage { constructor(){ this.element=document.createElement("div"); } stop(){} }
