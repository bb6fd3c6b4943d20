internal import KVMTypes
internal import Stage2Model

/// What a VM's stage 2 occupies, and how far that depends on decisions that the trace leaves open.
struct MemoryBounds {
  /// Pages that count as SecPageTables.
  var pages = 0
  /// Tables that may be there on top, or may not be.
  var pagesMore = 0
  var pagesLess = 0
  /// Mapping objects, those held ready included.
  var mappings = 0
  var mappingsMore = 0
  var mappingsLess = 0
  /// How many blocks there are: at least those that are certain, at most all that the model has.
  var blocks = 0...0
  /// Those of them that may map the huge zero page.
  var readBlocks = 0

  /// Nothing.
  init() {}

  /// The memory of one VM.
  ///
  /// - Parameter member: what was known of it at the moment.
  init<Backend: Stage2Backend & ~Copyable>(_ vm: inout VMExecution<Backend>, _ member: MarkerRoster.VM) {
    let memory = vm.memory
    pages = memory.secPageTables.live
    mappings = memory.mappings.live + memory.spareMappings.live + memory.lostMappings.live
    if vm.context.profile.isPKVM { addMemcaches(member, memory, minPages: vm.context.profile.minPages) }
    var open: [UInt64: Int] = [:]
    for page in vm.checks.table.openPages where !vm.isMapped(GFN(page.value).ipa(vm.pageSize)) {
      open[vm.checks.table.regions.block(GFN(page.value)), default: 0] += 1
    }
    for page in vm.checks.table.pudsToSplit {
      guard case .leaf(.l1, _, _) = vm.kvm.stage2.walk(page) else { continue }
      // A table of level 2 in its place, which is full of those of level 3.
      pagesMore += 1 + Int(vm.pageSize.pagesPerPMD)
    }
    for region in vm.checks.table.regions.all {
      add(region, open: open[vm.checks.table.regions.block(of: region)] ?? 0, &vm)
    }
  }

  /// What vCPUs in faults may have put into their memory caches: a mapping object each, and pages up to the least that a fault
  /// needs. The model's have it when the window ends.
  private mutating func addMemcaches(
    _ member: MarkerRoster.VM, _ memory: MemoryAccounting, minPages: Int
  ) {
    mappingsMore += max(0, min(member.fillingVCPUs, member.vcpus - memory.spareMappings.live))
    pagesMore += max(
      0,
      min(member.fillingVCPUs * minPages, member.vcpus * minPages - memory.pages(.hostMemcache).live))
  }

  /// What is open about one region: whether its leaves are there, whether a block is not a page, or all the pages that it was
  /// taken to replace, and whether pages are not one block.
  ///
  /// - Parameter open: how many of its pages may be mapped that the model has unmapped.
  private mutating func add<Backend: Stage2Backend & ~Copyable>(
    _ index: RegionIndex, open: Int, _ vm: inout VMExecution<Backend>
  ) {
    let unseen = max(open, vm.checks.table.regions[index].mayHaveUnseenMappings ? 1 : 0)
    let pageSize = vm.pageSize
    let region = vm.checks.table.regions[index]
    let base = GFN(vm.checks.table.regions.block(of: index) * pageSize.pagesPerPMD)
    switch vm.kvm.stage2.walk(base.ipa(pageSize)) {
    case .leaf(let level, _, _) where level < .l2:
      // Of hugetlb, so it is no block of the VMM's transparent huge pages. A smaller leaf has tables of levels 2 and 3.
      if vm.checks.table.pudKnowledge(base.ipa(pageSize)).contains(.isAssumed) { pagesMore += 2 }
    case .leaf(let level, _, _) where level < .l3:
      let isAssumed = region.blockKnowledge.contains(.isAssumed)
      blocks = blocks.lowerBound + (isAssumed ? 0 : 1)...blocks.upperBound + 1
      if isAssumed {
        pagesMore += 1
        // If it is a page, others may be mapped beside it.
        mappingsMore += unseen + max(0, (vm.checks.table.replacedPages[index] ?? 0) - 1)
      } else if region.mayBeSplit {
        pagesMore += 1
      }
      if region.blockKnowledge.contains(.isReadMapped) { readBlocks += 1 }
    case .leaf, .invalid(.l3):
      var assumed = 0
      var certain = 0
      for number in 0..<vm.checks.table.regions.pagesPerRegion {
        guard case .leaf = vm.kvm.stage2.walk((base + UInt64(number)).ipa(pageSize)) else { continue }
        let knowledge = vm.checks.table.regions.page(number, of: index).knowledge
        if knowledge.contains(.isAssumed) { assumed += 1 } else { certain += 1 }
      }
      mappingsLess += region.mayBeBlock ? assumed + max(0, certain - 1) : assumed
      if certain == 0 || region.mayBeBlock { pagesLess += 1 }
      mappingsMore += unseen
    case .invalid:
      guard unseen > 0 else { return }
      pagesMore += 1
      mappingsMore += unseen
    }
  }

  /// Widens the bounds to include `earlier`.
  func widened(toInclude earlier: MemoryBounds) -> MemoryBounds {
    var both = self
    both.pagesMore = max(pages + pagesMore, earlier.pages + earlier.pagesMore) - pages
    both.pagesLess = pages - min(pages - pagesLess, earlier.pages - earlier.pagesLess)
    both.mappingsMore = max(mappings + mappingsMore, earlier.mappings + earlier.mappingsMore) - mappings
    both.mappingsLess = mappings - min(mappings - mappingsLess, earlier.mappings - earlier.mappingsLess)
    return both
  }

  /// That of several VMs.
  static func + (a: MemoryBounds, b: MemoryBounds) -> MemoryBounds {
    var sum = a
    sum.pages += b.pages
    sum.pagesMore += b.pagesMore
    sum.pagesLess += b.pagesLess
    sum.mappings += b.mappings
    sum.mappingsMore += b.mappingsMore
    sum.mappingsLess += b.mappingsLess
    sum.blocks = a.blocks.lowerBound + b.blocks.lowerBound...a.blocks.upperBound + b.blocks.upperBound
    sum.readBlocks += b.readBlocks
    return sum
  }
}
