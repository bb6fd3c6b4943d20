internal import KVMTypes

/// Completes the slots that probes tell of VMs that were running before the trace began: most of these do not change, and
/// then no probe speaks of them. Recorded slots decide where they reach, inferred ones fill the rest.
struct SlotCompletion {
  /// A VM that was running, with the slots of that time, and the frames that probes tell anything of.
  struct Running {
    var vm: MemslotHistory.VM
    var told: FrameSet
  }

  private var running: [Running]
  private let pageSize: PageSize

  init(_ running: [Running], pageSize: PageSize) {
    self.running = running
    self.pageSize = pageSize
  }

  /// The VMs that were running, with what is inferred of them.
  ///
  /// - Parameter inferred: the VMs whose vCPUs ran before the first probe.
  func history(with inferred: [MemslotHistory.VM]) -> MemslotHistory {
    var found = running
    var open = Array(found.indices)
    var rest: [MemslotHistory.VM] = []
    for guest in inferred {
      if let place = open.firstIndex(where: { agrees(found[$0].vm, guest) }) {
        complete(&found[open.remove(at: place)], by: guest, isOnly: inferred.count == 1)
      } else {
        rest.append(guest)
      }
    }
    if rest.count == 1, open.count == 1 {
      complete(&found[open[0]], by: rest.removeLast(), isOnly: inferred.count == 1)
    }
    var history = MemslotHistory()
    history.vms = found.map(\.vm) + rest
    for vm in history.vms.indices {
      for slot in history.vms[vm].slots.indices { history.vms[vm].slots[slot].from = nil }
    }
    history.vms.removeAll { $0.slots.isEmpty }
    return history
  }

  /// Whether two VMs have memory at the same distance between host and guest addresses.
  private func agrees(_ vm: MemslotHistory.VM, _ other: MemslotHistory.VM) -> Bool {
    vm.slots.contains { slot in
      offset(slot.slot).map { offset in
        other.slots.contains {
          self.offset($0.slot) == offset && $0.slot.overlaps(slot.slot.base, slot.slot.pages)
        }
      } ?? false
    }
  }

  private func complete(_ running: inout Running, by guest: MemslotHistory.VM, isOnly: Bool) {
    if !isOnly { running.vm.tids = guest.tids }
    running.vm.isPartial = true
    // Who deletes a slot does not say where its memory was.
    for place in running.vm.slots.indices where running.vm.slots[place].slot.hva == nil {
      let slot = running.vm.slots[place].slot
      let same = guest.slots.first { $0.slot.hva != nil && $0.slot.overlaps(slot.base, slot.pages) }
      guard let same, let offset = offset(same.slot) else { continue }
      running.vm.slots[place].slot.hva = HVA(slot.base.ipa(pageSize).rawValue &+ offset)
      running.vm.slots[place].evidence = same.evidence
    }
    for life in guest.slots {
      for frames in running.told.gaps(in: life.slot.frames) {
        var part = life
        part.slot.base = frames.start
        part.slot.pages = frames.count
        part.slot.hva = offset(life.slot).map { HVA(frames.start.ipa(pageSize).rawValue &+ $0) }
        running.vm.slots.append(part)
      }
    }
  }

  /// Host minus guest address.
  private func offset(_ slot: Memslot) -> UInt64? {
    slot.hva.map { $0.rawValue &- slot.base.ipa(pageSize).rawValue }
  }
}
