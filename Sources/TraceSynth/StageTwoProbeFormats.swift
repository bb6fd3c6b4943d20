/// The function probes under `truth`: each stage-2 function with its arguments, and what it returned.
///
/// A name stands for one function of the pKVM tree (`pkvm_pgtable_stage2_NAME`) or, with the same
/// arguments, of the generic walker (`kvm_pgtable_stage2_NAME`).
public enum StageTwoProbeFormats {
  private typealias Field = EventField

  /// Entry of `..._stage2_map`.
  public static let map = probe(
    "map", 1581,
    [
      Field(.u64, "pgt"), Field(.u64, "addr"), Field(.u64, "size"), Field(.u64, "phys"), Field(.s64, "prot"),
      Field(.u64, "mc"), Field(.s32, "flags"),
    ])
  /// Return of `..._stage2_map`.
  public static let mapReturn = returnProbe("map_ret", 1582)
  /// Entry of `..._stage2_unmap`.
  public static let unmap = probe("unmap", 1583, range)
  /// Return of `..._stage2_unmap`.
  public static let unmapReturn = returnProbe("unmap_ret", 1584)
  /// Entry of `..._stage2_wrprotect`.
  public static let wrprotect = probe("wrprotect", 1585, range)
  /// Return of `..._stage2_wrprotect`.
  public static let wrprotectReturn = returnProbe("wrprotect_ret", 1586)
  /// Entry of `..._stage2_test_clear_young`.
  public static let testClearYoung = probe("test_clear_young", 1587, range + [Field(.u8, "mkold")])
  /// Return of `..._stage2_test_clear_young`.
  public static let testClearYoungReturn = returnProbe("test_clear_young_ret", 1588)
  /// Entry of `..._stage2_relax_perms`.
  public static let relaxPerms = probe(
    "relax_perms", 1589,
    [Field(.u64, "pgt"), Field(.u64, "addr"), Field(.s64, "prot"), Field(.s32, "flags")])
  /// Return of `..._stage2_relax_perms`.
  public static let relaxPermsReturn = returnProbe("relax_perms_ret", 1590)
  /// Entry of `..._stage2_mkyoung`, which returns nothing.
  public static let mkyoung = probe(
    "mkyoung", 1591, [Field(.u64, "pgt"), Field(.u64, "addr"), Field(.s32, "flags")])
  /// Return of `kvm_handle_guest_abort`.
  public static let abortReturn = returnProbe("abort_ret", 1592)
  /// Entry of `kvm_age_gfn`.
  public static let ageGFN = probe("age_gfn", 1593, gfnRange)
  /// Entry of `kvm_unmap_gfn_range`.
  public static let unmapGFN = probe("unmap_gfn", 1594, gfnRange)

  /// All of them.
  public static let all = [
    wrprotectReturn, wrprotect, unmapReturn, unmapGFN, unmap, testClearYoungReturn, testClearYoung,
    relaxPermsReturn, relaxPerms, mkyoung, mapReturn, map, ageGFN, abortReturn,
  ]

  private static let range = [Field(.u64, "pgt"), Field(.u64, "addr"), Field(.u64, "size")]
  private static let gfnRange = [Field(.u64, "kvm"), Field(.u64, "start"), Field(.u64, "end")]

  private static func probe(_ name: String, _ id: UInt16, _ arguments: [EventField]) -> EventFormat {
    let items = arguments.map { "\($0.name)=\(conversion($0))" }.joined(separator: " ")
    let values = arguments.map { ", REC->\($0.name)" }.joined()
    return EventFormat(
      system: "truth", name: name, id: id, fields: [Field(.unsignedLong, "__probe_ip")] + arguments,
      printFormat: "\"(%lx) \(items)\", REC->__probe_ip\(values)", isPacked: true)
  }

  private static func returnProbe(_ name: String, _ id: UInt16) -> EventFormat {
    EventFormat(
      system: "truth", name: name, id: id,
      fields: [
        Field(.unsignedLong, "__probe_func"), Field(.unsignedLong, "__probe_ret_ip"), Field(.s64, "ret"),
      ],
      printFormat: #""(%lx <- %lx) ret=%Ld", REC->__probe_func, REC->__probe_ret_ip, REC->ret"#,
      isPacked: true)
  }

  /// How a probe prints an argument: pointers in hexadecimal, numbers in decimal.
  private static func conversion(_ field: EventField) -> String {
    switch field.type {
    case .s64: "%Ld"
    case .s32, .s16: "%d"
    case .u8, .u32: "%u"
    default: ["pgt", "mc", "kvm"].contains(field.name) ? "0x%Lx" : "%Lu"
    }
  }
}
