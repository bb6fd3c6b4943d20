internal import CStage2Backend
package import KVMTypes
package import Stage2Model

/// The stage-2 MMU of one VM as a shared object has it: each operation is one call of a function of C.
///
/// A frame that the replay does not know is made up: the guest's frame plus an offset of the VM's own, so that blocks are aligned and no
/// two VMs share one. A vCPU is loaded when it is the first time, or another one's turn; the model has all of them loaded, so the
/// hypercalls that only load and put are not counted.
///
/// Invariant: `effects` points to initialised effects until deinit, when `vm` is released, and is handed to the backend as what its
/// callbacks get.
package struct ForeignStage2: ~Copyable {
  /// The shared object.
  package let library: BackendLibrary
  /// What it was told of the VM.
  package let shape: ForeignShape
  let vm: ForeignVM
  let effects: UnsafeMutablePointer<ForeignEffects>
  private let table: UnsafeMutablePointer<s2_backend>
  private let frameOffset: UInt64
  private let pageShift: UInt64
  /// The vCPU that was loaded last.
  private var loaded: Int32 = -1
  /// What the last function returned that KVM gives up a fault for: of loading a vCPU, or of a top-up.
  private(set) var preparation: Int64 = 0
  private let countsMappings: Bool
  /// What there was of the VM at its end.
  private var last: (tree: TreeShape, counters: s2_counters)?

  /// An empty table for a VM. Where the backend has none, every operation returns -EIO, and the library's `refusal` says why.
  ///
  /// - Parameters:
  ///   - offset: what sets the frames that are made up for it apart.
  ///   - nothing: how its memory is accounted for; nil where nobody asks.
  ///   - log: where it is put down what the kernel tells of itself.
  package init(
    _ library: BackendLibrary, _ shape: ForeignShape, frameOffset offset: UInt64,
    accounting nothing: MemoryAccounting? = nil, log: KernelLog = KernelLog()
  ) {
    self.library = library
    self.shape = shape
    table = library.table
    frameOffset = offset
    pageShift = shape.pageSize.shift
    countsMappings = shape.isPKVM && library.table.pointee.counters != nil
    effects = .allocate(capacity: 1)
    effects.initialize(
      to: ForeignEffects(library.names, nothing ?? MemoryAccounting(pageSize: shape.pageSize), log))
    vm = ForeignVM(library, shape, effects)
  }

  deinit {
    vm.release()
    effects.deinitialize(count: 1)
    effects.deallocate()
  }

  /// The VM, if there is one that can be called.
  @inline(__always)
  private var callable: OpaquePointer? { effects.pointee.hasPanicked ? nil : vm.pointer }

  /// The VM with `vcpu` loaded; nil where it could not be, and `preparation` says why.
  @inline(__always)
  private mutating func callable(with vcpu: VCPUIndex) -> OpaquePointer? {
    preparation = Int64(Self.notThere.rawValue)
    guard let vm = callable else { return nil }
    let number = Int32(truncatingIfNeeded: max(vcpu.rawValue, 0) % ForeignShape.vcpus)
    preparation = 0
    return loaded == number || load(number, vm) ? vm : nil
  }

  @inline(never)
  private mutating func load(_ vcpu: Int32, _ vm: OpaquePointer) -> Bool {
    if shape.isPKVM, let load = table.pointee.load_vcpu {
      effects.pointee.isLoading = true
      preparation = load(vm, vcpu, 0)
      effects.pointee.isLoading = false
      _ = finish(vm, preparation)
    }
    guard preparation == 0, !effects.pointee.hasPanicked else { return false }
    loaded = vcpu
    return true
  }

  /// What an operation returns for which no vCPU could be loaded.
  private var notPrepared: KernelResult { KernelResult(Int32(clamping: preparation)) }

  /// An operation has ended.
  @inline(__always)
  private func finish(
    _ vm: OpaquePointer, _ result: Int64, isBlock: Bool = false, moves: Bool = false
  )
    -> KernelResult
  {
    effects.pointee.memory.settle(
      inTree: moves && countsMappings ? Int(clamping: counters(vm).mappings) : nil, isBlock: isBlock)
    return KernelResult(Int32(clamping: result))
  }

  private func counters(_ vm: OpaquePointer) -> s2_counters {
    var counters = s2_counters()
    counters.size = UInt32(MemoryLayout<s2_counters>.size)
    table.pointee.counters?(vm, &counters)
    return counters
  }

  /// No function of the backend was called.
  private static let notThere = KernelResult(-5)
  /// What KVM tells the walker of a fault.
  private static let faultFlags = UInt32(S2_WALK_SHARED | S2_WALK_FAULT)
}

extension ForeignStage2: Stage2Backend {
  package mutating func map(
    _ ipa: IPA, size: UInt64, pfn: PFN?, prot: Stage2Prot, vcpu: VCPUIndex
  ) -> KernelResult {
    guard let vm = callable(with: vcpu) else { return notPrepared }
    let frame = pfn?.rawValue ?? shape.frame(of: GFN(ipa.rawValue >> pageShift), offset: frameOffset)
    let result = table.pointee.map(
      vm, ipa.rawValue, size, frame, prot.rawValue, loaded, Self.faultFlags)
    return finish(vm, result, isBlock: size >> pageShift > 1, moves: true)
  }

  package mutating func unmap(_ ipa: IPA, size: UInt64) -> KernelResult {
    guard let vm = callable else { return Self.notThere }
    return finish(vm, table.pointee.unmap(vm, ipa.rawValue, size), moves: true)
  }

  package mutating func wrprotect(_ ipa: IPA, size: UInt64) -> KernelResult {
    guard let vm = callable else { return Self.notThere }
    return finish(vm, table.pointee.wrprotect(vm, ipa.rawValue, size))
  }

  package mutating func flush(_ ipa: IPA, size: UInt64) -> KernelResult {
    guard let vm = callable else { return Self.notThere }
    guard let flush = table.pointee.flush else { return .success }
    return finish(vm, flush(vm, ipa.rawValue, size))
  }

  package mutating func testClearYoung(_ ipa: IPA, size: UInt64, markOld: Bool) -> Bool {
    guard let vm = callable else { return false }
    let result = table.pointee.test_clear_young(vm, ipa.rawValue, size, markOld ? 1 : 0)
    return finish(vm, result).rawValue > 0
  }

  package mutating func relaxPerms(_ ipa: IPA, prot: Stage2Prot) -> KernelResult {
    guard let vm = callable(with: VCPUIndex(Int(max(loaded, 0)))) else { return notPrepared }
    return finish(vm, table.pointee.relax_perms(vm, ipa.rawValue, prot.rawValue, loaded, Self.faultFlags))
  }

  package mutating func mkyoung(_ ipa: IPA) {
    guard let vm = callable(with: VCPUIndex(Int(max(loaded, 0)))) else { return }
    _ = finish(vm, table.pointee.mkyoung(vm, ipa.rawValue, loaded, Self.faultFlags))
  }

  package mutating func split(_ ipa: IPA, size: UInt64, vcpu: VCPUIndex) -> KernelResult {
    guard let vm = callable else { return Self.notThere }
    guard let split = table.pointee.split else { return .invalid }
    return finish(vm, split(vm, ipa.rawValue, size))
  }

  package mutating func destroyRange(_ ipa: IPA, size: UInt64) {
    // A kernel without it, before 6.19, drops everything with the PGD; an unmap would maintain TLBs and caches, which that does not.
    guard let vm = callable, let destroy = table.pointee.destroy_range else { return }
    destroy(vm, ipa.rawValue, size)
    _ = finish(vm, 0, moves: true)
  }

  package mutating func destroyPGD() {
    guard let vm = callable, let destroy = table.pointee.destroy_pgd else { return }
    destroy(vm)
    _ = finish(vm, 0, moves: true)
  }

  package mutating func topUpMemcache(vcpu: VCPUIndex, pages: Int) {
    guard let vm = callable(with: vcpu), let topUp = table.pointee.topup_memcache else { return }
    preparation = topUp(vm, loaded, UInt64(pages))
    _ = finish(vm, preparation)
  }

  package mutating func freeMemcache(vcpu: VCPUIndex) {
    guard let vm = callable, let free = table.pointee.free_memcache else { return }
    free(vm, Int32(truncatingIfNeeded: max(vcpu.rawValue, 0) % ForeignShape.vcpus))
    _ = finish(vm, 0)
  }

  @discardableResult
  package mutating func topUpSplitCache(pages: Int) -> Int {
    guard let vm = callable, let topUp = table.pointee.topup_split_cache else { return 0 }
    let result = topUp(vm, UInt64(pages))
    _ = finish(vm, result)
    return Int(clamping: max(result, 0))
  }

  package mutating func freeSplitCache() {
    guard let vm = callable, let free = table.pointee.free_split_cache else { return }
    free(vm)
    _ = finish(vm, 0)
  }

  package mutating func loadVCPU(_ vcpu: VCPUIndex, cpu: Int) {
    guard let vm = callable, let load = table.pointee.load_vcpu else { return }
    let number = Int32(truncatingIfNeeded: max(vcpu.rawValue, 0) % ForeignShape.vcpus)
    let result = load(vm, number, Int32(truncatingIfNeeded: cpu))
    if result == 0 { loaded = number }
    _ = finish(vm, result)
  }

  package mutating func flushRemoteTLBs() {
    guard let vm = callable, let flush = table.pointee.flush_remote_tlbs else { return }
    flush(vm)
    _ = finish(vm, 0)
  }

  package mutating func flushRemoteTLBs(_ ipa: IPA, size: UInt64) {
    guard let vm = callable else { return }
    guard let flush = table.pointee.flush_remote_tlbs_range else { return flushRemoteTLBs() }
    flush(vm, ipa.rawValue, size)
    _ = finish(vm, 0)
  }

  package mutating func passGracePeriod() {
    guard vm.isMade, let vm = callable, let pass = table.pointee.grace_period else { return }
    pass(vm)
    _ = finish(vm, 0)
  }

  package mutating func note(_ cause: CallCause) {
    guard cause.kind == .end else { return effects.pointee.log.cause = cause }
    if let vm = callable { last = (treeShape(), counters(vm)) }
    vm.release()
  }

  package mutating func takeByForce(_ page: IPA) -> Bool {
    guard let vm = callable, let take = table.pointee.force_reclaim else { return false }
    return finish(vm, take(vm, page.rawValue), moves: true).rawValue > 0
  }

  package mutating func walk(_ ipa: IPA) -> Stage2Walk {
    let leaf = leaf(ipa)
    // No table has a level beyond these, whatever a backend says.
    let start = shape.startLevel
    let level = TranslationLevel(Int8(min(max(leaf.level, Int32(start.rawValue)), 3)))
    // Before the first vCPU is loaded EL2 has no table to walk.
    let isThere = !shape.isPKVM || loaded >= 0
    guard leaf.is_valid != 0 else { return .invalid(level: isThere ? level : start) }
    return .leaf(
      level: level, prot: Stage2Prot(rawValue: leaf.prot).intersection(shape.walkedProt),
      young: leaf.is_young != 0)
  }

  /// What the backend finds at `ipa`.
  func leaf(_ ipa: IPA) -> s2_leaf {
    var leaf = s2_leaf()
    if let vm = callable { table.pointee.walk(vm, ipa.rawValue, &leaf) }
    return leaf
  }
}

// MARK: What a report tells of it

extension ForeignStage2 {
  package var accountedMemory: MemoryAccounting? {
    makeVM()
    return effects.pointee.memory.accounting
  }

  package var hypercallCounts: HypercallCounts? {
    makeVM()
    return shape.isPKVM ? effects.pointee.tally.hypercalls : nil
  }

  /// What making a VM took and called is the VM's: it is made before anybody is told of either.
  @inline(__always)
  private func makeVM() { if !vm.isMade { _ = vm.pointer } }

  package mutating func forgetHypercalls(since counts: HypercallCounts?) {
    if let counts { effects.pointee.tally.hypercalls = counts }
  }

  /// What the backend tells of its work; of what EL2 does to single pages it tells nothing.
  package var work: Stage2Work {
    mutating get {
      let counters = effects.pointee.tally.counters
      var work = Stage2Work(
        hypercalls: effects.pointee.tally.hypercalls.total, tlbInvalidations: counters.tlbiAll,
        cachePages: counters.dcachePages &+ counters.icachePages,
        tablePages: effects.pointee.memory.accounting.tables.added)
      var found = last?.counters
      if found == nil, let vm = callable { found = self.counters(vm) }
      if let found {
        work.treeNodes = Int(clamping: found.tree_nodes_visited)
        work.descriptors = Int(clamping: found.descriptors_visited)
      }
      return work
    }
  }

  package borrowing func mappingTreeDepth() -> (maximum: Int, mean: Double)? {
    let shape = treeShape()
    guard shape.nodes > 0 else { return nil }
    return (Int(shape.deepest), Double(shape.depths) / Double(shape.nodes))
  }

  /// TLB and cache maintenance so far.
  package var maintenance: Stage2Counters { effects.pointee.tally.counters }
  /// Hypercalls that the model does not know.
  package var otherHypercallCount: Int { effects.pointee.tally.otherHypercalls }
  package var hasStopped: Bool { effects.pointee.hasPanicked }
  /// Why the kernel stopped, in the backend's words.
  var lastPanic: String { effects.pointee.log.panic?.words ?? "it does not say why" }

  /// The host's tree of mappings, node by node.
  struct TreeShape {
    var nodes: UInt64 = 0
    var depths: UInt64 = 0
    var deepest: UInt32 = 0
    var digest = Digest()
  }

  func treeShape() -> TreeShape {
    var shape = TreeShape()
    guard let vm = callable, let tree = table.pointee.tree else { return last?.tree ?? shape }
    withUnsafeMutablePointer(to: &shape) { place in
      tree(
        vm,
        { user, mapping in
          guard let user, let mapping else { return 1 }
          let shape = user.assumingMemoryBound(to: TreeShape.self)
          shape.pointee.add(mapping.pointee)
          return 0
        }, place)
    }
    return shape
  }

  /// The leaves, one after the other.
  struct LeafList {
    var count: UInt64 = 0
    var blocks: UInt64 = 0
    var digest = Digest()
  }

  func leafList() -> LeafList {
    var list = LeafList()
    guard let vm = callable, let leaves = table.pointee.leaves else { return list }
    withUnsafeMutablePointer(to: &list) { place in
      leaves(
        vm,
        { user, leaf in
          guard let user, let leaf else { return 1 }
          user.assumingMemoryBound(to: LeafList.self).pointee.add(leaf.pointee)
          return 0
        }, place)
    }
    return list
  }

  /// Tells, as effects of a call of its own, what there is of the VM.
  mutating func tellState() {
    guard let vm = callable else { return }
    if table.pointee.counters != nil {
      let counters = counters(vm)
      withUnsafeBytes(of: counters.table_pages) { pages in
        for (place, count) in pages.bindMemory(to: UInt64.self).enumerated() where (2...4).contains(place) {
          effects.pointee.state(EffectNames.Name(.state, "tables of level \(place - 1)"), count)
        }
      }
      if shape.isPKVM { effects.pointee.state(EffectNames.Name(.state, "mappings"), counters.mappings) }
      effects.pointee.state(EffectNames.Name(.state, "memory cache pages"), counters.memcache_pages)
      if shape.isPKVM { effects.pointee.state(EffectNames.Name(.state, "pool pages"), counters.pool_pages) }
    }
    if table.pointee.leaves != nil {
      let leaves = leafList()
      effects.pointee.state(EffectNames.Name(.state, "leaves"), leaves.count, digest: leaves.digest.value)
      effects.pointee.state(EffectNames.Name(.state, "block leaves"), leaves.blocks)
    }
    if shape.isPKVM, table.pointee.tree != nil {
      let tree = treeShape()
      effects.pointee.state(EffectNames.Name(.state, "tree nodes"), tree.nodes, digest: tree.digest.value)
      effects.pointee.state(.treeDepth, UInt64(tree.deepest))
    }
  }
}

extension ForeignStage2.TreeShape {
  fileprivate mutating func add(_ mapping: s2_mapping) {
    nodes += 1
    depths += UInt64(mapping.depth)
    deepest = max(deepest, mapping.depth)
    digest.add(mapping.gfn)
    digest.add(mapping.pages)
    digest.add(mapping.pfn)
    digest.add(UInt64(mapping.depth) << 2 | UInt64(mapping.is_red & 1) << 1 | UInt64(mapping.is_nc & 1))
  }
}

extension ForeignStage2.LeafList {
  fileprivate mutating func add(_ leaf: s2_leaf) {
    count += 1
    if leaf.level < 3 { blocks += 1 }
    digest.add(leaf.ipa)
    digest.add(leaf.pfn)
    digest.add(leaf.prot)
    digest.add(UInt64(UInt32(bitPattern: leaf.level)) << 1 | UInt64(leaf.is_young & 1))
  }
}
