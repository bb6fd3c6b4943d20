internal import KVMTrace
internal import KVMTypes
internal import Stage2Model

/// What is known of a VM's table beyond what the model says of it: what is certain, what is an assumption, what changed when.
struct TableKnowledge: ~Copyable {
  /// The regions that faults have touched.
  var regions: GuestRegions
  /// The leaves of level 1.
  private var puds: PUDLeaves
  /// Where pages were mapped or made young last.
  private var recentPages = RecentPositions(bits: 13)
  /// Where tables of levels 1 and 2 appeared.
  private var tablesInstalledAt: [FrameKey: Sequence] = [:]
  /// The epoch in which a fault showed that nothing was mapped below a table of levels 1 and 2.
  private var emptySpans: [FrameKey: Epoch] = [:]
  /// Faults that were not seen.
  private var unseenFaults = UnseenFaults()
  /// Whether a fault showed any region to be empty since then.
  private var isAnythingEmpty = false
  /// Tables that hold something that no fault has mapped.
  private var untracedTables: Set<FrameKey> = []
  /// Tables of levels 1 and 2 that a fault showed not to be there, whatever came later.
  private var missingTables: Set<FrameKey> = []
  /// How many pages a block has replaced that is an assumption.
  var replacedPages: [RegionIndex: Int] = [:]
  /// Pages with whose faults nothing was done, which is an assumption: they may be mapped.
  private(set) var openPages: Set<FrameKey> = []
  private let pageSize: PageSize

  init(pageSize: PageSize) {
    self.pageSize = pageSize
    regions = GuestRegions(pageSize: pageSize)
    puds = PUDLeaves(pageSize: pageSize)
  }

  // MARK: Keys

  /// A table of `level`, or for its knowledge the span of memory below it: level and number in one.
  private func tableKey(_ level: TranslationLevel, _ page: IPA) -> FrameKey {
    let span = page.rawValue >> pageSize.levelShift(TranslationLevel(level.rawValue - 1))
    return FrameKey(UInt64(level.rawValue) << 56 | span)
  }

  /// The key under which it is noted where a page was made young, among those of where it was mapped.
  private func youngKey(_ gfn: GFN) -> UInt64 { gfn.rawValue | 1 << 63 }

  /// The regions below a table of `level`.
  func span(_ level: TranslationLevel, _ page: IPA) -> ClosedRange<UInt64> {
    let shift =
      pageSize.levelShift(TranslationLevel(level.rawValue - 1)) - pageSize.levelShift(.l2)
    let first = (page.rawValue >> pageSize.levelShift(.l2)) & ~((1 << shift) - 1)
    return first...first + (1 << shift) - 1
  }

  // MARK: What changed when

  func isLeafRecent(_ fault: SettledFault, _ walk: Stage2Walk, since position: Sequence) -> Bool {
    guard case .leaf(let level, _, _) = walk, let region = fault.evidence.region else { return false }
    if level < .l2 { return puds[fault.page].map { $0.installedAt > position } ?? false }
    if level < .l3 { return regions[region].blockInstalledAt > position }
    return recentPages.mayBe(fault.page.gfn(pageSize).rawValue, after: position)
  }

  /// Whether an access flag fault made the leaf of a fault young since the vCPU's entry.
  func isMadeYoung(_ fault: SettledFault, _ walk: Stage2Walk) -> Bool {
    let entry = fault.evidence.entry
    guard case .leaf(.l3, _, _) = walk else {
      if case .leaf(.l1, _, _) = walk { return puds[fault.page].map { $0.madeYoungAt > entry } ?? false }
      return fault.evidence.region.map { regions[$0].madeYoungAt > entry } ?? false
    }
    return recentPages.mayBe(youngKey(fault.page.gfn(pageSize)), after: entry)
  }

  /// Whether the table below the entry of `level` appeared in the fault's window.
  func isTableRecent(above level: TranslationLevel, _ fault: SettledFault) -> Bool {
    let entry = fault.evidence.entry
    if level == .l2 { return fault.evidence.region.map { regions[$0].tableInstalledAt > entry } ?? false }
    let below = TranslationLevel(level.rawValue + 1)
    return tablesInstalledAt[tableKey(below, fault.page)].map { $0 > entry } ?? false
  }

  /// Whether pages and a block took each other's place in a region since `entry`.
  func isResized(_ fault: SettledFault) -> Bool {
    if let pud = puds[fault.page], pud.resizedAt > fault.evidence.entry { return true }
    return fault.evidence.region.map { regions[$0].resizedAt > fault.evidence.entry } ?? false
  }

  /// The region in which a fault lies, nil where no fault in a slot has touched it.
  func region(of fault: SettledFault) -> RegionIndex? {
    regions.index(of: regions.block(fault.page.gfn(pageSize)))
  }

  // MARK: What is known of a leaf

  func leaf(_ fault: SettledFault, _ walk: Stage2Walk) -> LeafKnowledge {
    guard let region = fault.evidence.region else { return [] }
    if case .leaf(let level, _, _) = walk, level < .l3 {
      if level < .l2 { return puds.knowledge(fault.page, in: fault.evidence.endEpoch) }
      return regions[region].blockKnowledge
    }
    return regions.page(regions.number(fault.page.gfn(pageSize)), of: region).knowledge
  }

  /// How a block of level 1 is known.
  func pudKnowledge(_ page: IPA) -> LeafKnowledge { puds[page]?.knowledge ?? [] }

  /// What is assumed of the memory that a leaf of level 1 may map is not: smaller ones may be anywhere in it.
  mutating func doubtPUD(around page: IPA) {
    for region in regions.positions(in: span(.l2, page)) { regions[region].mayLackPages = true }
  }

  /// Dirty logging of the frames is over: what it had taken rights from was not told.
  mutating func endLogging(_ frames: FrameRange) {
    regions.endLogging(frames)
    if !puds.isEmpty { _ = puds.update(frames) { $0.knowledge.insert(.mayBeProtected) } }
  }

  /// Dirty logging of the frames begins: KVM may split their blocks.
  mutating func beginLogging(_ frames: FrameRange) {
    regions.forEach(in: frames) { region, regions in regions[region].mayBeSplit = true }
    if !puds.isEmpty { _ = puds.update(frames) { $0.mayBeSplit = true } }
  }

  /// A fault met a block: while logging is off KVM does not split it.
  mutating func noteWhole(_ fault: SettledFault) {
    guard let level = fault.walkLevel, level < .l3, let region = fault.evidence.region,
      fault.slot?.isLogging == false, !fault.evidence.mayLackCommit
    else { return }
    if level == .l2 {
      regions[region].mayBeSplit = false
    } else {
      puds.update(fault.page, in: fault.evidence.endEpoch) { $0.mayBeSplit = false }
    }
  }

  /// Where leaves of level 1 are that KVM may have split.
  var pudsToSplit: [IPA] { puds.isEmpty ? [] : puds.toSplit }

  /// What happened to a region last, nothing where there is none.
  func recentEvents(_ region: RegionIndex?) -> [RegionEvent] {
    guard let region else { return [] }
    return regions.recentEvents(region)
  }

  /// Changes what is known of the page of a fault, or of the block that maps it.
  mutating func setLeaf(_ fault: SettledFault, _ walk: Stage2Walk, _ body: (inout LeafKnowledge) -> Void) {
    guard let region = fault.evidence.region else { return }
    if case .leaf(let level, _, _) = walk, level < .l3 {
      if level < .l2 {
        puds.update(fault.page, in: fault.evidence.endEpoch) { body(&$0.knowledge) }
      } else {
        body(&regions[region].blockKnowledge)
      }
    }
    regions.updatePage(regions.number(fault.page.gfn(pageSize)), of: region) { body(&$0.knowledge) }
  }

  /// Whether it is certain that none of the frames has a leaf that is young where the model has none: what is not mapped is
  /// known not to be, and the leaf is as large as the model's, for all its pages share one access flag. Where all
  /// of a region is asked for, the size does not matter.
  ///
  /// - Parameters:
  ///   - epoch: the one of the moment.
  ///   - knownFrom: the epoch in which everything is known of the table.
  @inline(__always)
  func isKnownOld(_ frames: FrameRange, in epoch: Epoch, knownFrom: Epoch) -> Bool {
    if epoch.isInGap { return false }
    let isWholeKnown = knownFrom == epoch
    let blocks = regions.block(frames.start)...regions.block(GFN(frames.end.rawValue - 1))
    if blocks.count == 1 {
      guard let region = regions.index(of: blocks.lowerBound) else { return isWholeKnown }
      return isKnownOld(region, frames, in: epoch, isWholeKnown: isWholeKnown)
    }
    let touched = regions.positions(in: blocks)
    return (isWholeKnown || touched.count == blocks.count)
      && touched.allSatisfy { isKnownOld($0, frames, in: epoch, isWholeKnown: isWholeKnown) }
  }

  @inline(__always)
  private func isKnownOld(
    _ region: RegionIndex, _ frames: FrameRange, in epoch: Epoch, isWholeKnown: Bool
  ) -> Bool {
    if regions[region].mayLackPages { return false }
    if regions[region].isSizeInDoubt, frames.count < pageSize.pagesPerPMD { return false }
    if isWholeKnown || regions[region].emptyIn == epoch { return true }
    let number = regions.number(frames.start)
    return frames.count == 1 && regions[region].epoch == epoch
      && regions.page(number, of: region).knowledge.contains(.isEstablished)
  }

  // MARK: What is known to be empty

  /// Whether all of a fault's region is known in the epoch of its end: a fault showed that there was nothing.
  func isRegionKnown(_ fault: SettledFault) -> Bool {
    let epoch = fault.evidence.endEpoch
    return fault.evidence.region.map { regions[$0].emptyIn == epoch } ?? false
  }

  /// Whether all below the table of `level` on the way to a fault is known: levels 1 and 2, or what is below.
  func isSpanKnown(_ fault: SettledFault, below level: TranslationLevel = .l2) -> Bool {
    let epoch = fault.evidence.endEpoch
    return level >= .l2 && emptySpans[tableKey(.l2, fault.page)] == epoch
      || emptySpans[tableKey(.l1, fault.page)] == epoch
  }

  /// A translation fault shows that everything below the entry at which it stopped was unmapped when its vCPU walked the table. Another
  /// one may have filled it since, if that one's fault began before what is replayed.
  @inline(never)
  mutating func learnEmpty(_ fault: SettledFault, _ level: TranslationLevel?) {
    let epoch = fault.evidence.endEpoch
    setLeaf(fault, .invalid(level: .l3)) { $0 = .isEstablished }
    guard let level, level < .l3, !unseenFaults.mayRival(fault), fault.evidence.entry > .start
    else { return }
    isAnythingEmpty = true
    if let region = fault.evidence.region { regions[region].emptyIn = epoch }
    if level < .l2 { emptySpans[tableKey(.l2, fault.page)] = epoch }
    if level < .l1 { emptySpans[tableKey(.l1, fault.page)] = epoch }
  }

  /// A fault that was not seen was under way between two places, perhaps: it may have mapped what was empty.
  mutating func noteUnseenFault(since: Sequence, until end: Sequence) {
    unseenFaults.note(since: since, until: end)
    if !isAnythingEmpty { return }
    isAnythingEmpty = false
    emptySpans = [:]
    for region in regions.all { regions[region].emptyIn = .never }
  }

  /// Whether a fault that was not seen may have changed the table while the vCPU of this one walked it.
  func mayHaveUnseenRival(_ fault: SettledFault) -> Bool { unseenFaults.mayRival(fault) }

  /// A walk found a table of `level` where the model has none. Whether that was known already.
  func hasUntracedTable(_ level: TranslationLevel, _ page: IPA) -> Bool {
    untracedTables.contains(tableKey(level, page))
  }

  mutating func noteUntracedTable(_ level: TranslationLevel, _ page: IPA) {
    untracedTables.insert(tableKey(level, page))
  }

  /// A walk stopped at `level`: the kernel has mapped nothing below that entry of its own accord. It maps the CPU interface of a GICv2
  /// before a vCPU of the VM runs (`kvm_vgic_map_resources`, `kvm_phys_addr_ioremap`), and never takes it out.
  @inline(never)
  mutating func noteNoTable(below level: TranslationLevel, _ page: IPA) {
    missingTables.insert(tableKey(TranslationLevel(level.rawValue + 1), page))
  }

  /// Whether a table of level 1 or 2 on the way to the one of `level`, or that one, was seen not to be there.
  func hadNoTable(_ level: TranslationLevel, _ page: IPA) -> Bool {
    missingTables.contains(tableKey(.l1, page)) || level > .l1 && missingTables.contains(tableKey(.l2, page))
  }

  // MARK: What operations did

  /// Frames were unmapped. Where a part of a block was unmapped, all of it is gone; but if the block was an assumption, pages
  /// may be left. If it is an assumption that it was this VM's memory, everything may be.
  mutating func noteUnmapped(_ frames: FrameRange, isAssumed: Bool = false) {
    if !openPages.isEmpty, !isAssumed { closePages(frames) }
    let pages = pageSize.pagesPerPMD
    if !puds.isEmpty {
      for page in puds.update(frames, { $0.knowledge = [] }) { doubtPUD(around: page) }
    }
    regions.forEach(in: frames) { region, regions in
      let first = GFN(regions.block(of: region) * pages)
      regions[region].noteUnmapped()
      if isAssumed {
        regions[region].mayLackPages = true
      } else if frames.start <= first, first + pages <= frames.end {
        regions[region].mayLackPages = false
        regions[region].mayHaveUnseenMappings = false
        regions[region].mayBeBlock = false
      } else if regions[region].blockKnowledge.contains(.isAssumed) {
        regions[region].mayLackPages = true
      }
      regions[region].blockKnowledge = []
    }
  }

  /// All slots were unmapped, these frames among them, when vCPUs were initialised again. The fault that came next shows where
  /// nothing was left; elsewhere device memory may be, which stays mapped.
  mutating func noteReset(_ frames: FrameRange, _ reset: VCPUReset) {
    noteUnmapped(frames)
    let empty = span(TranslationLevel(reset.level.rawValue + 1), reset.page)
    regions.forEach(in: frames) { region, regions in
      regions[region].mayHaveUnseenMappings = !empty.contains(regions.block(of: region))
    }
  }

  /// Pages were unmapped: what was open about them is not any more.
  private mutating func closePages(_ frames: FrameRange) {
    if frames.count < UInt64(openPages.count) {
      for offset in 0..<frames.count { openPages.remove(FrameKey((frames.start + offset).rawValue)) }
    } else {
      openPages = openPages.filter { !frames.contains(GFN($0.value)) }
    }
  }

  /// Nothing was done about a fault, which is an assumption.
  mutating func noteOpen(_ fault: SettledFault, _ region: RegionIndex) {
    regions[region].mayHaveUnseenMappings = true
    openPages.insert(FrameKey(fault.page.gfn(pageSize).rawValue))
  }

  /// Whether a block is proven to be mapped in a region, and nobody may have put a page where a fault is in its window. Another
  /// vCPU's fault on another page may break the block, but puts only its own page there.
  func isProvenBlock(_ region: RegionIndex, _ fault: SettledFault) -> Bool {
    let known = regions[region]
    return !known.blockKnowledge.contains(.isAssumed) && known.blockInstalledAt <= fault.evidence.entry
      && known.resizedAt <= fault.evidence.entry && fault.evidence.unmapOfRegion == .none
      && fault.evidence.peers.isDisjoint(with: [.onPage, .mayResize])
  }

  /// Pages took the place of a block and have its rights.
  ///
  /// - Parameter isProven: whether a fault met one of them; else the block may be there on.
  mutating func noteSplit(_ region: RegionIndex, at sequence: Sequence, isProven: Bool) {
    let knowledge = regions[region].blockKnowledge
    regions[region].resizedAt = sequence
    regions[region].tableInstalledAt = sequence
    regions[region].mayBeBlock = !isProven
    regions[region].blockKnowledge = []
    regions.updatePages(of: region) { $0.knowledge = knowledge }
  }

  /// An operation returned an error.
  mutating func noteAgain(_ fault: SettledFault, _ region: RegionIndex, _ before: Stage2Walk) {
    guard case .leaf(let level, _, _) = before else { return noteMissing(fault, region) }
    if level == .l3 { return }
    if level < .l2 {
      let epoch = fault.evidence.endEpoch
      if fault.level > level { puds.update(fault.page, in: epoch) { $0.resizedAt = fault.end } }
      if puds.knowledge(fault.page, in: epoch).contains(.isAssumed) { doubtPUD(around: fault.page) }
      return
    }
    // The fault found pages where there is a block by now: it or another vCPU replaced them in its window.
    if fault.walkLevel == .l3 { regions[region].resizedAt = fault.end }
    // It lost to a block that is an assumption: beside a page it would have mapped one of its own.
    if regions[region].blockKnowledge.contains(.isAssumed) { regions[region].mayLackPages = true }
  }

  /// A fault met a leaf that the model does not have: an unmap took it in the fault's window, or what mapped it came behind that
  /// unmap and is missing.
  private mutating func noteMissing(_ fault: SettledFault, _ region: RegionIndex) {
    if fault.kind.needsLeaf { regions[region].mayLackPages = true }
  }

  /// Frames were aged, which leaves no leaf of whole regions young, whether the model has it or not: a fault tells when one is
  /// made young again.
  mutating func noteAged(_ frames: FrameRange) {
    let pages = pageSize.pagesPerPMD
    if frames.count < pages { return }
    regions.forEach(in: frames) { region, regions in
      let first = GFN(regions.block(of: region) * pages)
      guard regions[region].mayLackPages, frames.start <= first, first + pages <= frames.end else { return }
      regions[region].mayLackPages = false
    }
  }

  /// It is an assumption that frames were aged: of what the model has old, anything may be young.
  mutating func doubtAge(of frames: FrameRange) {
    regions.forEach(in: frames) { region, regions in regions[region].mayLackPages = true }
  }

  /// A fault set the access flag of its leaf.
  mutating func noteYoung(_ fault: SettledFault, _ region: RegionIndex, _ before: Stage2Walk) {
    regions[region].madeYoungAt = fault.end
    if case .invalid = before { noteMissing(fault, region) }
    if case .leaf(.l1, _, _) = before {
      puds.update(fault.page, in: fault.evidence.endEpoch) { $0.madeYoungAt = fault.end }
    }
    recentPages.note(youngKey(fault.page.gfn(pageSize)), at: fault.end)
    let mayBeOld: LeafKnowledge = fault.evidence.mayBeAged ? .mayBeOld : []
    setLeaf(fault, before) { $0 = $0.subtracting(.mayBeOld).union(mayBeOld).union(.wasMadeYoung) }
  }

  /// A fault mapped a page or a block.
  ///
  /// - Parameters:
  ///   - knowledge: how the leaf is known.
  ///   - before: what a walk found before.
  @inline(__always)
  mutating func noteMapped(
    _ fault: SettledFault, _ region: RegionIndex, level: TranslationLevel, _ knowledge: LeafKnowledge,
    _ before: Stage2Walk
  ) {
    if level < .l2 { return noteMappedPUD(fault, knowledge, before) }
    regions[region].noteMapped(at: fault.end, isBlock: level < .l3, knowledge, before)
    switch before {
    case .invalid(let stop) where stop < .l2: noteTables(above: stop, fault)
    case .leaf(.l1, _, _): noteBrokenPUD(fault)
    default: break
    }
    if level < .l3 { return }
    let gfn = fault.page.gfn(pageSize)
    recentPages.note(gfn.rawValue, at: fault.end)
    regions.updatePage(regions.number(gfn), of: region) { $0.knowledge = knowledge }
  }

  /// A fault mapped a block of PUD_SIZE, in the place of all tables that were there.
  @inline(never)
  private mutating func noteMappedPUD(
    _ fault: SettledFault, _ knowledge: LeafKnowledge, _ before: Stage2Walk
  ) {
    let hadTables =
      switch before {
      case .leaf(let level, _, _): level > .l1
      case .invalid(let level): level > .l1
      }
    if case .invalid(let level) = before, level < .l1 { noteTables(above: level, fault) }
    puds.update(fault.page, in: fault.evidence.endEpoch) { pud in
      pud.installedAt = fault.end
      pud.knowledge = knowledge
      pud.mayBeSplit = false
      if hadTables { pud.resizedAt = fault.end }
    }
    let isAssumed = knowledge.contains(.isAssumed)
    for region in regions.positions(in: span(.l2, fault.page)) {
      regions[region].blockKnowledge = []
      regions[region].mayBeBlock = false
      regions[region].mayHaveUnseenMappings = isAssumed && hadTables
    }
  }

  /// A fault mapped a page, or a smaller block, where a block of PUD_SIZE was: the rest of that is gone.
  @inline(never)
  private mutating func noteBrokenPUD(_ fault: SettledFault) {
    let wasAssumed = puds.knowledge(fault.page, in: fault.evidence.endEpoch).contains(.isAssumed)
    puds.update(fault.page, in: fault.evidence.endEpoch) { pud in
      pud.resizedAt = fault.end
      pud.knowledge = []
    }
    noteTables(above: .l1, fault)
    if wasAssumed { doubtPUD(around: fault.page) }
  }

  /// A fault that stopped at `level` installed tables of levels 1 and 2.
  @inline(never)
  private mutating func noteTables(above level: TranslationLevel, _ fault: SettledFault) {
    tablesInstalledAt[tableKey(.l2, fault.page)] = fault.end
    if level < .l1 { tablesInstalledAt[tableKey(.l1, fault.page)] = fault.end }
  }
}

extension GuestRegion {
  /// A fault whose window ended at `end` mapped a page or a block.
  @inline(__always)
  fileprivate mutating func noteMapped(
    at end: Sequence, isBlock: Bool, _ knowledge: LeafKnowledge, _ before: Stage2Walk
  ) {
    let hadTable: Bool
    switch before {
    case .leaf(let level, _, _):
      hadTable = level == .l3
      if isBlock == hadTable { resizedAt = end }
    case .invalid(let level):
      hadTable = level == .l3
      if isBlock, hadTable { resizedAt = end }
      if level < .l3 { mayBeBlock = false }
    }
    if knowledge.contains(.isSizeAssumed)
      ? hadTable || !isBlock : knowledge.contains(.isAssumed) && isBlock && hadTable
    {
      mayBeBlock = true
    }
    // Its page is there, whatever was unmapped before.
    if !knowledge.contains(.isAssumed) { noteHeld() }
    if isBlock {
      mayBeSplit = false
      blockInstalledAt = end
      blockKnowledge = knowledge
    } else {
      if !hadTable { tableInstalledAt = end }
      blockKnowledge = []
    }
  }
}
