internal import KVMTrace
internal import KVMTypes

/// A leaf of a VM's table at some time.
struct LeafState {
  /// Which mapping it belongs to, from 1; 0 where nothing is mapped.
  var mapping = 0
  var isWritable = false
  var isExecutable = false
  var isYoung = false
  /// The CPU whose TLB alone was flushed when the mapping last got a right.
  var grantedOn: CPUIndex?

  var isMapped: Bool { mapping > 0 }
}

/// Everything that a VM's table went through, to be asked what a walk could have met in some stretch of time.
///
/// It knows no more of KVM than this: a map replaces what overlaps it, an unmap takes leaves away whole, and a table
/// exists while something is mapped below it, the start level's apart.
struct TableHistory {
  private let pageSize: PageSize
  private let startLevel: Int8
  private let bits: UInt64
  private var pages: [UInt64: StateTimeline<LeafState>] = [:]
  private var blocks: [UInt64: StateTimeline<LeafState>] = [:]
  /// Whether a level-3 table is there, by region; whether anything is below a level-1 and a level-0 entry.
  private var tables: [UInt64: StateTimeline<Bool>] = [:]
  private var spans1: [UInt64: StateTimeline<Bool>] = [:]
  private var spans0: [UInt64: StateTimeline<Bool>] = [:]
  // What is there now.
  private var mappedPages: [UInt64: Set<UInt64>] = [:]
  private var mappedBlocks: Set<UInt64> = []
  private var usedRegions: [UInt64: Set<UInt64>] = [:]
  private var usedSpans1: [UInt64: Set<UInt64>] = [:]
  private var mappings = 0

  init(_ changes: [TableChange], pageSize: PageSize, startLevel: TranslationLevel) {
    self.pageSize = pageSize
    self.startLevel = startLevel.rawValue
    bits = pageSize.bitsPerLevel
    for change in changes.sorted(by: { $0.to < $1.to }) { apply(change) }
  }

  // MARK: Changes

  private mutating func apply(_ change: TableChange) {
    switch change.kind {
    case .unmap: remove(change.frames, change)
    case .map(let prot):
      remove(change.frames, change)
      mappings += 1
      let leaf = LeafState(
        mapping: mappings, isWritable: prot.contains(.write), isExecutable: prot.contains(.execute),
        isYoung: true, grantedOn: nil)
      insert(leaf, change)
    case .relax(let prot):
      update(change) { leaf in
        if prot.contains(.write) { leaf.isWritable = true }
        if prot.contains(.execute) { leaf.isExecutable = true }
        leaf.grantedOn = change.cpu
      }
    case .makeYoung: update(change) { $0.isYoung = true }
    case .makeOld: update(change) { $0.isYoung = false }
    case .writeProtect: update(change) { $0.isWritable = false }
    }
  }

  private mutating func insert(_ leaf: LeafState, _ change: TableChange) {
    let first = change.frames.lowerBound
    let region = first >> bits
    if change.frames.count > 1 {
      blocks[region, default: StateTimeline(LeafState())].append(leaf, from: change.from, to: change.to)
      mappedBlocks.insert(region)
    } else {
      pages[first, default: StateTimeline(LeafState())].append(leaf, from: change.from, to: change.to)
      if mappedPages[region, default: []].isEmpty { setTable(region, true, change) }
      mappedPages[region, default: []].insert(first)
    }
    setUsed(region, change)
  }

  /// Takes away the leaves that overlap the frames.
  private mutating func remove(_ frames: Range<UInt64>, _ change: TableChange) {
    forEachRegion(frames) { region, history in
      var changed = false
      if history.mappedBlocks.remove(region) != nil {
        history.blocks[region]!.append(LeafState(), from: change.from, to: change.to)
        changed = true
      }
      if let mapped = history.mappedPages[region], !mapped.isEmpty {
        for page in mapped where frames.contains(page) {
          history.pages[page]!.append(LeafState(), from: change.from, to: change.to)
          history.mappedPages[region]!.remove(page)
          changed = true
        }
        if history.mappedPages[region]!.isEmpty { history.setTable(region, false, change) }
      }
      if changed { history.setUsed(region, change) }
    }
  }

  private mutating func update(_ change: TableChange, _ body: (inout LeafState) -> Void) {
    let frames = change.frames
    forEachRegion(frames) { region, history in
      if history.mappedBlocks.contains(region) {
        var leaf = history.blocks[region]!.last
        body(&leaf)
        history.blocks[region]!.append(leaf, from: change.from, to: change.to)
      }
      for page in history.mappedPages[region] ?? [] where frames.contains(page) {
        var leaf = history.pages[page]!.last
        body(&leaf)
        history.pages[page]!.append(leaf, from: change.from, to: change.to)
      }
    }
  }

  /// Calls `body` with every region of the frames in which something is mapped.
  private mutating func forEachRegion(_ frames: Range<UInt64>, _ body: (UInt64, inout Self) -> Void) {
    guard !frames.isEmpty else { return }
    let regions = (frames.lowerBound >> bits)...((frames.upperBound - 1) >> bits)
    if regions.count <= 64 {
      for region in regions { body(region, &self) }
    } else {
      for region in Set(mappedPages.keys).union(mappedBlocks).sorted() where regions.contains(region) {
        body(region, &self)
      }
    }
  }

  private mutating func setTable(_ region: UInt64, _ isThere: Bool, _ change: TableChange) {
    tables[region, default: StateTimeline(false)].append(isThere, from: change.from, to: change.to)
  }

  /// Notes whether anything is mapped in a region, for the levels above.
  private mutating func setUsed(_ region: UInt64, _ change: TableChange) {
    let isUsed = mappedBlocks.contains(region) || !(mappedPages[region] ?? []).isEmpty
    let span1 = region >> bits
    let span0 = span1 >> bits
    let was1 = !(usedRegions[span1] ?? []).isEmpty
    if isUsed {
      usedRegions[span1, default: []].insert(region)
    } else {
      usedRegions[span1]?.remove(region)
    }
    let is1 = !(usedRegions[span1] ?? []).isEmpty
    guard was1 != is1 else { return }
    spans1[span1, default: StateTimeline(false)].append(is1, from: change.from, to: change.to)
    let was0 = !(usedSpans1[span0] ?? []).isEmpty
    if is1 { usedSpans1[span0, default: []].insert(span1) } else { usedSpans1[span0]?.remove(span1) }
    let is0 = !(usedSpans1[span0] ?? []).isEmpty
    guard was0 != is0 else { return }
    spans0[span0, default: StateTimeline(false)].append(is0, from: change.from, to: change.to)
  }

  // MARK: Walks

  /// The leaf that certainly covers a frame at a moment, and whether it is a block; nil where there is none, or where
  /// a change is under way.
  func leaf(_ frame: UInt64, at position: Position) -> (leaf: LeafState, isBlock: Bool)? {
    for (timeline, isBlock) in [(pages[frame], false), (blocks[frame >> bits], true)] {
      guard let timeline else { continue }
      let states = timeline.statesBackwards(from: position) { _ in true }
      let isSettled = timeline.stretches(in: position...position) { _ in true }.count == 1
      if isSettled, let leaf = states.first, leaf.isMapped { return (leaf, isBlock) }
    }
    return nil
  }

  /// Whether nothing covers a frame at a moment.
  func isUnmapped(_ frame: UInt64, at position: Position) -> Bool {
    [pages[frame], blocks[frame >> bits]].allSatisfy { timeline in
      timeline?.stretches(in: position...position) { $0.isMapped }.isEmpty ?? true
    }
  }

  /// Whether some moment between a vCPU's entry and its trap had a table whose walk ends as the fault says.
  func allows(_ fault: ObservedFault) -> Bool {
    let window = fault.entry...max(fault.trap, fault.entry)
    let frame = fault.fault.ipa.gfn(pageSize).rawValue
    let page = pages[frame] ?? StateTimeline(LeafState())
    let block = blocks[frame >> bits] ?? StateTimeline(LeafState())
    // The level that an emulator reports for a walk of the guest's own table is that of the guest's table.
    let level = fault.fault.esr.isStage1Walk ? nil : fault.fault.esr.level?.rawValue
    switch fault.fault.esr.faultKind {
    case .translation:
      let unmapped = intersection(
        page.stretches(in: window) { !$0.isMapped }, block.stretches(in: window) { !$0.isMapped })
      return !intersection(unmapped, stopping(at: level, frame, window)).isEmpty
    case .permission:
      return [(page, Int8(3)), (block, Int8(2))].contains { leaf, leafLevel in
        (level ?? leafLevel) == leafLevel && lacksRight(leaf, fault, window)
      }
    case .accessFlag:
      return [(page, Int8(3)), (block, Int8(2))].contains { leaf, leafLevel in
        (level ?? leafLevel) == leafLevel
          && !leaf.stretches(in: window) { $0.isMapped && !$0.isYoung }.isEmpty
      }
    default: return true
    }
  }

  /// When a walk that finds no leaf stops at `level`.
  private func stopping(
    at level: Int8?, _ frame: UInt64, _ window: ClosedRange<Position>
  ) -> [ClosedRange<Position>] {
    guard let level else { return [window] }
    let region = frame >> bits
    let span1 = region >> bits
    func stretches(_ timeline: StateTimeline<Bool>?, _ wanted: Bool) -> [ClosedRange<Position>] {
      (timeline ?? StateTimeline(false)).stretches(in: window) { $0 == wanted }
    }
    // The table of the start level is always there.
    func isThere(_ level: Int8) -> [ClosedRange<Position>] {
      if level <= startLevel { return level == startLevel ? [window] : [] }
      switch level {
      case 3: return stretches(tables[region], true)
      case 2: return stretches(spans1[span1], true)
      default: return stretches(spans0[span1 >> bits], true)
      }
    }
    func isMissing(_ level: Int8) -> [ClosedRange<Position>] {
      switch level {
      case 3: return stretches(tables[region], false)
      case 2: return stretches(spans1[span1], false)
      case 1: return stretches(spans0[span1 >> bits], false)
      default: return [window]
      }
    }
    guard (startLevel...3).contains(level) else { return [] }
    return level == 3 ? isThere(3) : intersection(isThere(level), isMissing(level + 1))
  }

  /// Whether the leaf may have lacked the right that the access needs, in the table or in the CPU's TLB: more rights
  /// are only announced to the CPU that asked for them (`__kvm_tlb_flush_vmid_ipa_nsh`).
  private func lacksRight(
    _ leaf: StateTimeline<LeafState>, _ fault: ObservedFault, _ window: ClosedRange<Position>
  ) -> Bool {
    let esr = fault.fault.esr
    func isLacking(_ leaf: LeafState) -> Bool {
      leaf.isMapped && (esr.isWrite ? !leaf.isWritable : esr.isExec ? !leaf.isExecutable : false)
    }
    if !leaf.stretches(in: window, where: isLacking).isEmpty { return true }
    for stretch in leaf.stretches(in: window, where: { $0.isMapped }) {
      let mapping = leaf.statesBackwards(from: stretch.upperBound) { _ in true }.first?.mapping
      let states = leaf.statesBackwards(from: stretch.upperBound) { $0.mapping == mapping }
      for (newer, older) in zip(states, states.dropFirst())
      where isLacking(older) && !isLacking(newer) && newer.grantedOn != fault.cpu { return true }
    }
    return false
  }
}
