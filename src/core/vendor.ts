// Vendor: the makers of TPMs by the four letters that a TPM tells.
// Neighbours: `tpminfo` shows them.
// Invariant: letters that are not on the list have no name; nothing is guessed.

/** TCG TPM Vendor ID Registry, family 1.2 and 2.0, version 1.06. */
const NAMES: Readonly<Record<string, string>> = {
  AMD: "AMD",
  ATML: "Atmel",
  BRCM: "Broadcom",
  CSCO: "Cisco",
  FLYS: "Flyslice Technologies",
  GOOG: "Google",
  HISI: "Huawei",
  HPE: "HPE",
  IBM: "IBM",
  IFX: "Infineon",
  INTC: "Intel",
  LEN: "Lenovo",
  MSFT: "Microsoft",
  NSM: "National Semiconductor",
  NTC: "Nuvoton",
  NTZ: "Nationz",
  QCOM: "Qualcomm",
  ROCC: "Fuzhou Rockchip",
  SMSC: "SMSC",
  SMSN: "Samsung",
  SNS: "Sinosun",
  STM: "STMicroelectronics",
  TXN: "Texas Instruments",
  WEC: "Winbond",
};

/** Name of the maker with these letters; "" when it is not known. */
export function vendorName(letters: string): string {
  return Object.hasOwn(NAMES, letters) ? NAMES[letters]! : "";
}
