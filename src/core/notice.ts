// Notice: what the hub has been told about one lamp.
// Neighbours: `lamps` keeps one for each lamp and makes the PATCH out of those that are due.
// Invariant: due from any change until a PATCH carrying exactly what is true was confirmed;
// what the hub holds counts as unknown once a PATCH may or may not have reached it.

/** One reported property on its way. Reports are compared as texts. */
export class Notice {
  /** True when there may be something to report. */
  isDue = true;
  /** The report under way, and the one that the hub holds; "" for none and for unknown. */
  private taken = "";
  private held = "";

  /** What there is to report may be another thing now. */
  change(): void {
    this.isDue = true;
  }

  /** Takes `text` into a PATCH; false when the hub holds just that already. */
  take(text: string): boolean {
    this.isDue = false;
    if (text === this.held) return false;
    this.taken = text;
    return true;
  }

  /** The hub has what was taken. */
  confirm(): void {
    if (this.taken === "") return;
    this.held = this.taken;
    this.taken = "";
  }

  /** The hub may or may not have what was taken. */
  retract(): void {
    if (this.taken === "") return;
    this.held = "";
    this.taken = "";
    this.isDue = true;
  }

  /** The hub says what it holds; "" when that is not to be relied on. */
  onHeld(text: string): void {
    this.held = text;
  }
}
