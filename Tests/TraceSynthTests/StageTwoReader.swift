/// Reads a trace of one guest with 4 KiB pages and checks each fault against the simplest model there
/// is: a dictionary of mapped frames. It shares nothing with the generator.
struct StageTwoReader {
  /// What is wrong, one line each.
  private(set) var complaints: [String] = []
  private(set) var translations = 0
  private(set) var permissions = 0
  private(set) var accessFlags = 0

  private struct Page {
    var isWritable: Bool?
    var isExecutable: Bool
    var isYoung = true
  }

  private var pages: [UInt64: Page] = [:]
  private var slot: (gfn: UInt64, pages: UInt64, hva: UInt64) = (0, 0, 0)
  /// The last fault of a thread until its next `kvm_entry`.
  private var lastFault: [Int32: UInt64] = [:]
  private var inGuest: Set<Int32> = []

  mutating func read(_ event: TraceCmd.Event) {
    switch event.name {
    case "commit":
      let numbers = event.text.split(separator: " ").reduce(into: [Substring: UInt64]()) { all, item in
        let pair = item.split(separator: "=")
        if pair.count == 2 { all[pair[0]] = UInt64(pair[1]) }
      }
      slot = (numbers["gfn"] ?? 0, numbers["npages"] ?? 0, numbers["hva"] ?? 0)
    case "kvm_entry":
      check(inGuest.insert(event.pid).inserted, event, "enters twice")
      lastFault[event.pid] = nil
    case "kvm_exit":
      check(inGuest.remove(event.pid) != nil, event, "leaves without having entered")
    case "kvm_guest_fault": fault(event)
    case "kvm_access_fault":
      let ipa = UInt64(event.text.split(separator: " ").last ?? "", radix: 16) ?? 0
      check(lastFault[event.pid] == ipa, event, "does not follow its fault")
      pages[ipa >> 12]?.isYoung = true
    case "kvm_unmap_hva_range":
      for gfn in frames(event) { pages[gfn] = nil }
    case "kvm_age_hva":
      for gfn in frames(event) { pages[gfn]?.isYoung = false }
    default: break
    }
  }

  private mutating func fault(_ event: TraceCmd.Event) {
    let values = event.hexValues
    guard values.count == 4 else { return check(false, event, "has no four values") }
    let (ipa, syndrome, address) = (values[0], values[1], values[2])
    let gfn = ipa >> 12
    check(!inGuest.contains(event.pid), event, "comes while the vCPU runs")
    lastFault[event.pid] = ipa
    let isFetch = syndrome >> 26 == 0x20
    let isWalk = syndrome & 0x80 != 0
    let isWrite = !isFetch && !isWalk && syndrome & 0x40 != 0
    check(isFetch || syndrome >> 26 == 0x24, event, "is no abort of a guest")
    let level = syndrome & 3
    switch syndrome & 0x3c {
    case 0x04:
      check(pages[gfn] == nil, event, "a translation fault on a mapped page")
      check(level == firstEmptyLevel(gfn), event, "expected level \(firstEmptyLevel(gfn))")
      guard gfn >= slot.gfn && gfn < slot.gfn + slot.pages else { return }
      check(isWalk || address & 0xfff_ffff & ~0xfff == ipa & 0xfff_ffff, event, "FAR and IPA disagree")
      translations += 1
      pages[gfn] = Page(isWritable: isWrite || isFetch ? true : nil, isExecutable: isFetch)
    case 0x08:
      check(level == 3 && pages[gfn]?.isYoung == false, event, "an access fault on a page that is not old")
      accessFlags += 1
    case 0x0c:
      check(level == 3 && pages[gfn]?.isYoung == true, event, "a permission fault on no young page")
      if isFetch {
        check(pages[gfn]?.isExecutable == false, event, "a fetch from an executable page")
        pages[gfn]?.isExecutable = true
      } else {
        check(isWrite && pages[gfn]?.isWritable != true, event, "a write to a writable page")
      }
      permissions += 1
    default: check(false, event, "an unknown status")
    }
  }

  /// Four levels of 512 entries; a table exists while something is mapped below it.
  private func firstEmptyLevel(_ gfn: UInt64) -> UInt64 {
    if pages.isEmpty { return 0 }
    if !pages.keys.contains(where: { $0 >> 18 == gfn >> 18 }) { return 1 }
    return ((gfn & ~511)..<(gfn | 511) + 1).contains { pages[$0] != nil } ? 3 : 2
  }

  private func frames(_ event: TraceCmd.Event) -> Range<UInt64> {
    let range = event.addresses
    guard range.count == 2, slot.pages > 0 else { return 0..<0 }
    let start = max(range[0], slot.hva)
    let end = min(range[1], slot.hva + (slot.pages << 12))
    guard start < end else { return 0..<0 }
    return slot.gfn + ((start - slot.hva) >> 12)..<slot.gfn + ((end - slot.hva) >> 12)
  }

  private mutating func check(_ isRight: Bool, _ event: TraceCmd.Event, _ problem: String) {
    if !isRight { complaints.append("\(problem): \(event)") }
  }
}
