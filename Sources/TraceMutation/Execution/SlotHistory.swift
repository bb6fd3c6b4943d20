internal import KVMTrace
internal import KVMTypes
internal import Stage2Replay

/// A memslot and when it was there.
struct ObservedSlot {
  var frames: Range<UInt64>
  var flags: MemslotFlags
  var from: Position
  var to: Position
}

/// The memslots of every VM over time, from the commits, with the VMs of a replay's roster.
struct SlotHistory {
  private(set) var slots: [[ObservedSlot]] = []
  private var roster = VMRoster()
  /// By VM, positions in its slots of those that are there, by number.
  private var live: [[Int16: Int]] = []

  /// Any event: those of slots and of the lives of VMs tell something.
  mutating func consume(_ record: TraceRecord, at position: Position) {
    switch record.kind {
    case .initVM: _ = roster.initVM(record.vmCreation.kvm, record.vmCreation.type)
    case .destroyVM: _ = roster.destroyVM(record.destroyedVM)
    case .commitMemoryRegion: commit(record.memslotCommit, by: record.tid, at: position)
    default: break
    }
  }

  private mutating func commit(_ commit: MemslotCommit, by thread: ThreadID, at position: Position) {
    guard commit.change != .unknown, commit.pages > 0 else { return }
    let frames = commit.base.rawValue..<(commit.base.rawValue + commit.pages)
    let isContradicted = commit.change == .create && isTaken(frames, commit.id, roster.vm(at: commit.kvm))
    let answer = roster.setMemoryRegion(
      of: commit.kvm, commit.change, by: thread, isContradicted: isContradicted)
    let vm = answer.vm.position
    if answer.news == .appeared {
      slots.append([])
      live.append([:])
    }
    if let base = commit.oldBase?.rawValue,
      let (id, index) = live[vm].first(where: { slots[vm][$0.value].frames.lowerBound == base })
    {
      slots[vm][index].to = position
      live[vm][id] = nil
    }
    if commit.change != .delete {
      live[vm][commit.id ?? -1] = slots[vm].count
      slots[vm].append(ObservedSlot(frames: frames, flags: commit.flags, from: position, to: .max))
    }
  }

  /// Whether a VM has a slot at these frames or under this number.
  private func isTaken(_ frames: Range<UInt64>, _ id: Int16?, _ vm: VMIndex?) -> Bool {
    guard let vm = vm?.position else { return false }
    return id.map { live[vm][$0] != nil } ?? false
      || live[vm].values.contains { slots[vm][$0].frames.overlaps(frames) }
  }

  /// The slot that holds a frame at a moment.
  func slot(_ frame: UInt64, vm: Int, at position: Position) -> ObservedSlot? {
    guard vm < slots.count else { return nil }
    return slots[vm].first { $0.frames.contains(frame) && $0.from <= position && position < $0.to }
  }
}
