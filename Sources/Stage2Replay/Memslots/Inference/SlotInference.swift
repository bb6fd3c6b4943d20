internal import KVMTrace
internal import KVMTypes

/// Infers the memslots of a trace that does not record them.
///
/// The pairs of faults and host ranges give the distance between guest and host addresses (`OffsetVote`); where a slot
/// lies, the frames that faulted as memory tell. So what is stated of a slot ends with the evidence: it may reach
/// further, and the guest may never have touched the rest. Memory for which no distance is certain becomes a slot without
/// a host address.
struct SlotInference {
  /// By how many pairs a distance must beat every other one to be stated.
  ///
  /// A pair is false where the true cause of its fault left no event. What it allows then has nothing to do with its
  /// frame: of 2^35 page-aligned distances in a 47-bit address space a pair names at most 64, so it agrees with a given one
  /// with a probability of 2^-29. What does agree, with many pairs, is a neighbour of the right distance while the host
  /// scans its memory page by page. For the neighbour to be right, all pairs that it does not explain have to be false. If
  /// one pair in ten were (no recording shows any), 16 would be with a probability of 10^-16, against 10^10.5 distances that
  /// could have come so near.
  static let marginMin = 16

  private struct PlacedSlot {
    var offset: UInt64
    var frames: FrameRange
    var evidence: SlotEvidence
    var tids: Set<ThreadID>
    var from: Nanoseconds
    var to: Nanoseconds

    func overlaps(_ other: PlacedSlot) -> Bool {
      frames.start < other.frames.end && other.frames.start < frames.end
    }
  }

  private struct VM {
    var tids: Set<ThreadID>
    var slots: [PlacedSlot]
  }

  private let pairs: FaultPairs
  private let memory: FaultedMemory
  private let pageSize: PageSize

  init(_ collector: PairCollector, pageSize: PageSize) {
    pairs = collector.pairs
    memory = collector.memory
    self.pageSize = pageSize
  }

  /// The slots, as a history.
  func history(of guests: [InferredGuest]) -> MemslotHistory {
    let guests = guests.filter { !$0.tids.isDisjoint(with: memory.tids) }
    let isOnly = guests.count == 1
    var found: [(guest: InferredGuest, vm: MemslotHistory.VM)] = []
    for guest in guests { found += lives(of: guest.tids, isOnly: isOnly).map { (guest, $0) } }
    var history = MemslotHistory()
    for (guest, vm) in found {
      var vm = vm
      if !isOnly {
        vm.begin(at: guest.first)
        // Until another one has other memory at the same host addresses.
        vm.to = found.filter { $0.guest.first > guest.last && $0.vm.sharesHostAddresses(with: vm, pageSize) }
          .map(\.guest.first).min()
      }
      history.vms.append(vm)
    }
    return history
  }

  /// The VMs of threads that walk one table, as far as their walks tell: one, unless the memory behind it is not.
  private func lives(of tids: Set<ThreadID>, isOnly: Bool) -> [MemslotHistory.VM] {
    var vms: [VM] = []
    let (placed, ambiguous) = candidates(tids)
    for slot in placed { add(slot, to: &vms) }
    vms.sort { ($0.tids.min() ?? ThreadID(.max)) < ($1.tids.min() ?? ThreadID(.max)) }
    func life(_ slots: [PlacedSlot], _ own: Set<ThreadID>) -> MemslotHistory.VM {
      let isAll = isOnly && own == tids
      return self.life(slots, tids: isAll ? nil : own, memory.ranges { own.contains($0) }, ambiguous)
    }
    // Nothing tells threads apart.
    if vms.count <= 1 { return [life(vms.first?.slots ?? [], tids)] }
    let others = tids.subtracting(vms.flatMap(\.tids)).intersection(memory.tids)
    return vms.map { life($0.slots, $0.tids) } + (others.isEmpty ? [] : [life([], others)])
  }

  // MARK: Distances

  /// The slots that the pairs speak for, and those of which another one is nearly as likely; the best founded ones first.
  private func candidates(_ tids: Set<ThreadID>) -> (placed: [PlacedSlot], ambiguous: [PlacedSlot]) {
    let vote = OffsetVote(pairs) { tids.contains($0) }
    var placed: [PlacedSlot] = []
    var ambiguous: [PlacedSlot] = []
    for cluster in vote.clusters(minimum: Self.marginMin) {
      var evidence = SlotEvidence()
      evidence.support = cluster.pairs.count
      evidence.runnerUp = cluster.runnerUp
      var hull: FrameRange?
      for position in cluster.pairs { hull.include(frames(pairs.all[position])) }
      guard let hull, let first = cluster.pairs.first, let last = cluster.pairs.last else { continue }
      evidence.frames = hull
      let tids = Set(cluster.pairs.map { pairs.all[$0].tid })
      let from = cluster.pairs.map { pairs.all[$0].since }.min() ?? pairs.all[first].since
      let to = pairs.all[last].time
      let start = hull.start.ipa(pageSize)
      let end = hull.end.ipa(pageSize)
      for (position, pair) in pairs.all.enumerated()
      where pair.address >= start && pair.address < end && pair.since >= from && pair.time <= to
        && tids.contains(pair.tid) && !vote.explains(cluster.offset, position)
      {
        evidence.contradictions += 1
      }
      let slot = PlacedSlot(
        offset: cluster.offset, frames: hull, evidence: evidence, tids: tids, from: from, to: to)
      let isClear =
        evidence.support - evidence.runnerUp >= Self.marginMin
        && evidence.support - evidence.contradictions >= Self.marginMin
      if isClear { placed.append(slot) } else { ambiguous.append(slot) }
    }
    return (placed, ambiguous)
  }

  private func frames(_ pair: FaultPair) -> FrameRange {
    FrameRange(start: pair.address.gfn(pageSize), end: (pair.address + pair.bytes).gfn(pageSize))
  }

  // MARK: VMs

  /// Adds a slot to the VM of its threads, or to one that it does not contradict: as few VMs as the evidence allows.
  private func add(_ slot: PlacedSlot, to vms: inout [VM]) {
    func fits(_ vm: VM) -> Bool {
      vm.slots.allSatisfy { !$0.overlaps(slot) || $0.to < slot.from || slot.to < $0.from }
    }
    let sharing = vms.indices.filter { !vms[$0].tids.isDisjoint(with: slot.tids) }
    if sharing.isEmpty {
      if let vm = vms.firstIndex(where: fits) {
        vms[vm].tids.formUnion(slot.tids)
        vms[vm].slots.append(slot)
      } else {
        vms.append(VM(tids: slot.tids, slots: [slot]))
      }
      return
    }
    // A thread runs the vCPU of one VM. A slot that contradicts a better founded one of the same threads is left out.
    guard sharing.count == 1, fits(vms[sharing[0]]) else { return }
    vms[sharing[0]].tids.formUnion(slot.tids)
    vms[sharing[0]].slots.append(slot)
  }

  // MARK: Extents

  private func life(
    _ placed: [PlacedSlot], tids: Set<ThreadID>?, _ ranges: [FrameRange], _ ambiguous: [PlacedSlot]
  ) -> MemslotHistory.VM {
    var vm = MemslotHistory.VM(tids: tids.map { $0.sorted() })
    vm.isPartial = true
    let slots = extended(placed, ranges)
    for slot in slots.sorted(by: { ($0.frames.start, $0.from) < ($1.frames.start, $1.from) }) {
      let next = slots.filter { $0.overlaps(slot) && $0.from > slot.to }.map(\.from).min()
      let isFirst = !slots.contains { $0.overlaps(slot) && $0.to < slot.from }
      let hva = slot.frames.start.ipa(pageSize).rawValue &+ slot.offset
      var life = MemslotHistory.Slot(
        memslot(slot.frames, hva: HVA(hva)), from: isFirst ? nil : slot.from, to: next)
      life.evidence = slot.evidence
      vm.slots.append(life)
    }
    for range in remainder(of: ranges, without: slots.map(\.frames)) {
      var life = MemslotHistory.Slot(memslot(range, hva: nil))
      let best = ambiguous.first { $0.frames.start < range.end && range.start < $0.frames.end }
      life.evidence = best?.evidence ?? SlotEvidence()
      vm.slots.append(life)
    }
    vm.slots.removeAll { !$0.slot.isPossible(pageSize) }
    return vm
  }

  private func memslot(_ frames: FrameRange, hva: HVA?) -> Memslot {
    Memslot(id: nil, base: frames.start, pages: frames.count, hva: hva, flags: [], basis: .assumed)
  }

  /// Extends each slot over the memory around its evidence, as far as no other slot's evidence lies in it.
  private func extended(_ slots: [PlacedSlot], _ ranges: [FrameRange]) -> [PlacedSlot] {
    slots.map { slot in
      var slot = slot
      for range in ranges where range.start < slot.frames.end && slot.frames.start < range.end {
        let isShared = slots.contains {
          $0.offset != slot.offset && $0.frames.start < range.end && range.start < $0.frames.end
        }
        if isShared { continue }
        slot.frames = FrameRange(
          start: min(slot.frames.start, range.start), end: max(slot.frames.end, range.end))
      }
      return slot
    }
  }

  /// What of `ranges` is in none of `taken`.
  private func remainder(of ranges: [FrameRange], without taken: [FrameRange]) -> [FrameRange] {
    var left = ranges
    for frames in taken {
      left = left.flatMap { range in
        [
          FrameRange(start: range.start, end: min(range.end, max(frames.start, range.start))),
          FrameRange(start: max(range.start, min(frames.end, range.end)), end: range.end),
        ].filter { $0.start < $0.end }
      }
    }
    return left
  }
}

extension MemslotHistory.VM {
  /// What was there from the beginning came then.
  fileprivate mutating func begin(at time: Nanoseconds) {
    for slot in slots.indices where slots[slot].from == nil { slots[slot].from = time }
  }

  fileprivate func sharesHostAddresses(with other: Self, _ pageSize: PageSize) -> Bool {
    slots.contains { slot in
      guard let hva = slot.slot.hva else { return false }
      let range = HVARange(start: hva, end: hva + (slot.slot.pages << pageSize.shift))
      return other.slots.contains { $0.slot.frames(range, pageSize) != nil }
    }
  }
}
