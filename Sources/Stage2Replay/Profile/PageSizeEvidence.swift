internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// What the events of a trace say about the host's page size.
///
/// Some facts rule a size out: a sub-buffer smaller than a page; a slot or an unmapped range that does not begin and end with
/// pages; SecPageTables that are no pages; a walk that begins above where tables of that granule begin; a leaf of level 1, which
/// only pages of 4 KiB give (`KVM_PGTABLE_MIN_BLOCK_LEVEL`).
///
/// Others speak against a size, but could have another cause, and count where there are many of them:
///
/// - Crowding: with pages too big, a thread faults again in a page that its last fault has mapped, or, at level 2 and above, in
///   the reach of a table that it has filled.
/// - Slots count frames: with another page size the faults on memory lie in none of them.
///
/// Where this is most of what the trace has, it decides: `derived`. Else what is left is the size of the flavour that the
/// kernel's release names (`-16k`, `+64k`), else the biggest, which is the sub-buffer's own by default; where nothing tells of sub-buffers,
/// as in a text or its copy, the smallest, which most hosts have.
struct PageSizeEvidence: ~Copyable {
  private var possible: [PageSize]
  private let isBufferPossible: Bool
  private let isBufferKnown: Bool
  private let flavour: PageSize?
  private var relevant = 0
  private var faults = 0
  private var sawMMIO = false
  private var slots: [(base: UInt64, pages: UInt64)] = []
  /// By `PageSize.position`.
  private var against = PageSize.allCases.map { _ in Contradictions() }
  private var history = FaultHistory()

  /// What speaks against a page size. Of faults that may be accesses to devices as far as their syndrome says, apart.
  private struct Contradictions {
    var crowding = 0
    var doubtful = 0
    var outside = 0
  }

  /// How many faults, notifiers and slots are looked at.
  private static let relevantMax = 1 << 16
  private static let slotsMax = 64

  init(pageBytesMax: Int?, uname: String) {
    isBufferKnown = pageBytesMax != nil
    let limit = UInt64(pageBytesMax ?? .max)
    let fitting = PageSize.allCases.filter { $0.bytes <= limit }
    // No host has smaller pages: the buffer is nobody's.
    isBufferPossible = !fitting.isEmpty
    possible = fitting.isEmpty ? [.size4K] : fitting
    flavour = Self.flavour(uname)
  }

  /// Whether more events cannot change the result, or have been looked at enough.
  var isSettled: Bool { possible.count == 1 || relevant >= Self.relevantMax }

  /// The page size; nil where everything is ruled out.
  var result: HostPageSize? {
    if possible.count == 1 { return HostPageSize(possible[0], isBufferPossible ? .derived : .assumed) }
    let left = possible.filter { !isContradicted($0) }
    let candidates = left.isEmpty ? possible : left
    if left.count == 1, possible.allSatisfy({ $0 == left[0] || isRefuted($0) }) {
      return HostPageSize(left[0], .derived)
    }
    if let flavour, candidates.contains(flavour) { return HostPageSize(flavour, .assumed) }
    let sizes = candidates.sorted { $0.bytes < $1.bytes }
    return (isBufferKnown ? sizes.last : sizes.first).map { HostPageSize($0, .assumed) }
  }

  /// Takes in events of a source until enough have been seen.
  mutating func read(_ source: some EventSource) {
    _ = try? source.forEachRun(.replay(probes: false)) { run in
      for index in run.records.indices {
        if run.records[index].kind == .marker { note(run.marker(index)) }
        consume(run.records[index])
      }
      if isSettled { throw Settled() }
    }
  }

  /// Enough was read.
  private struct Settled: Error {}

  mutating func note(_ marker: TraceMarker?) {
    guard case .memory(let marker) = marker, let bytes = marker.secPageTablesBytes else { return }
    ruleOut { bytes & ($0.bytes - 1) != 0 }
  }

  mutating func consume(_ record: TraceRecord) {
    switch record.kind {
    case .commitMemoryRegion: consume(record.memslotCommit)
    case .initVM: history.forget()
    case .unmapHVARange:
      relevant += 1
      history.forget()
      let range = record.hvaRange
      ruleOut { (range.start.rawValue | range.end.rawValue) & ($0.bytes - 1) != 0 }
    case .mmio:
      sawMMIO = true
      history.drop(record.tid)
    case .guestFault:
      settle(record.tid)
      relevant += 1
      history.open(record.guestFault, by: record.tid)
    case .entry: settle(record.tid)
    default: break
    }
  }

  private mutating func consume(_ commit: MemslotCommit) {
    relevant += 1
    history.forget()
    guard commit.pages > 0 else { return }
    ruleOut { commit.hva.rawValue & ($0.bytes - 1) != 0 }
    if slots.count < Self.slotsMax { slots.append((commit.base.rawValue, commit.pages)) }
  }

  /// A thread's last fault is over, and was no access to a device.
  private mutating func settle(_ thread: ThreadID) {
    guard let fault = history.close(thread) else { return }
    faults += 1
    let address = fault.ipa.rawValue
    let kind = fault.esr.faultKind
    for size in possible {
      var found = against[size.position]
      if !slots.isEmpty, !slots.contains(where: { (address >> size.shift) &- $0.base < $0.pages }) {
        found.outside += 1
      }
      if kind == .translation, history.isCrowded(fault, thread, size) {
        if fault.esr.isDataAbort, fault.esr.syndromeValid { found.doubtful += 1 } else { found.crowding += 1 }
      }
      against[size.position] = found
    }
    if kind == .translation, let level = fault.esr.level, !fault.esr.isStage1Walk {
      ruleOut { Self.startsBelow($0, level) }
    }
    if kind == .permission || kind == .accessFlag, fault.esr.level == .l1, !fault.esr.isStage1Walk {
      ruleOut { $0 != .size4K }
    }
    history.insert(fault, thread, possible)
  }

  /// Whether no table with granules of `size` begins at `level` or above.
  private static func startsBelow(_ size: PageSize, _ level: TranslationLevel) -> Bool {
    highestStarts[size.position].map { level < $0 } ?? false
  }

  /// By `PageSize.position`, the level at which the tables of the largest guests begin.
  private static let highestStarts = PageSize.allCases.map { size in
    (try? Stage2Geometry(pageSize: size, ipaBits: Stage2Geometry.maximumIPABits))?.startLevel
  }

  /// Contradictory facts, of a damaged trace, leave what they found.
  private mutating func ruleOut(_ isImpossible: (PageSize) -> Bool) {
    guard possible.count > 1, possible.contains(where: isImpossible) else { return }
    let left = possible.filter { !isImpossible($0) }
    if !left.isEmpty { possible = left }
  }

  /// Whether so much speaks against a size that no accident explains it: no memory lies in slots, or a thread faults in pages
  /// that it has mapped, all the time.
  private func isRefuted(_ size: PageSize) -> Bool {
    let found = against[size.position]
    let least = possible.map { against[$0.position].outside }.min() ?? 0
    let crowding = found.crowding + (sawMMIO ? found.doubtful : 0)
    return found.outside - least >= 64 && (found.outside - least) * 2 >= faults
      || crowding >= 64 && crowding * 4 >= faults
  }

  private func isContradicted(_ size: PageSize) -> Bool {
    let found = against[size.position]
    let least = possible.map { against[$0.position].outside }.min() ?? 0
    func isMuch(_ count: Int) -> Bool { count >= 4 && count * 20 >= faults }
    // Without kvm_mmio, what may be a device's must be a good part of all.
    let doubtful = found.crowding + found.doubtful
    return isMuch(found.crowding) || isMuch(found.outside - least)
      || (sawMMIO ? isMuch(doubtful) : doubtful >= 16 && doubtful * 4 >= faults)
  }

  /// The page size that the release names: distributions ship flavours such as `-arm64-16k` and `+64k`.
  private static func flavour(_ uname: String) -> PageSize? {
    let words = uname.split(separator: " ")
    guard words.count >= 3 else { return nil }
    for part in words[2].split(whereSeparator: { !$0.isLetter && !$0.isNumber }) {
      switch part.lowercased() {
      case "4k": return .size4K
      case "16k": return .size16K
      case "64k": return .size64K
      default: continue
      }
    }
    return nil
  }
}
