/** ValueSet and CodeSystem as packages write them, as far as codes are concerned. Anything may be missing. https://hl7.org/fhir/R4/valueset.html */

export type Concept = { readonly code?: string; readonly concept?: readonly Concept[] };
export type Filter = { readonly property?: string; readonly op?: string; readonly value?: string };
export type Include = {
  readonly system?: string;
  readonly concept?: readonly Concept[];
  readonly filter?: readonly Filter[];
  readonly valueSet?: readonly string[];
};
export type Expanded = { readonly system?: string; readonly code?: string; readonly abstract?: boolean; readonly contains?: readonly Expanded[] };
export type Expansion = { readonly total?: number; readonly contains?: readonly Expanded[] };
export type ValueSet = {
  readonly compose?: { readonly include?: readonly Include[]; readonly exclude?: readonly Include[] };
  readonly expansion?: Expansion;
  readonly useContext?: readonly {
    readonly code?: { readonly code?: string };
    readonly valueCodeableConcept?: { readonly coding?: readonly { readonly system?: string; readonly code?: string }[] };
  }[];
};
export type CodeSystem = { readonly content?: string; readonly concept?: readonly Concept[] };
