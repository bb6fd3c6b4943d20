internal import KVMTrace
internal import KVMTypes

/// A memslot and when it was there.
struct ObservedSlot {
  var frames: Range<UInt64>
  var flags: MemslotFlags
  var from: Position
  var to: Position
}

/// The memslots of every VM over time, from the commits. A VM is the one after the last when its first slot comes:
/// KVM never creates a slot over another one or under a number in use, so a commit that seems to is another VM's, which
/// got the same address.
struct SlotHistory {
  private struct Table {
    var vm: Int
    /// By number, positions in the VM's slots.
    var live: [Int16: Int] = [:]
  }

  private(set) var slots: [[ObservedSlot]] = []
  private var tables: [KernelAddress: Table] = [:]

  mutating func consume(_ commit: MemslotCommit, at position: Position) {
    guard commit.change != .unknown, commit.pages > 0 else { return }
    let frames = commit.base.rawValue..<(commit.base.rawValue + commit.pages)
    if commit.change == .create {
      let table = tables[commit.kvm]
      let isContradicted =
        table.map { table in
          commit.id.map { table.live[$0] != nil } ?? false
            || table.live.values.contains { slots[table.vm][$0].frames.overlaps(frames) }
        } ?? true
      if isContradicted {
        tables[commit.kvm] = Table(vm: slots.count)
        slots.append([])
      }
    }
    guard var table = tables[commit.kvm] else { return }
    if let base = commit.oldBase?.rawValue,
      let (id, index) = table.live.first(where: { slots[table.vm][$0.value].frames.lowerBound == base })
    {
      slots[table.vm][index].to = position
      table.live[id] = nil
    }
    if commit.change != .delete {
      table.live[commit.id ?? -1] = slots[table.vm].count
      slots[table.vm].append(
        ObservedSlot(frames: frames, flags: commit.flags, from: position, to: .max))
    }
    tables[commit.kvm] = table
  }

  /// The slot that holds a frame at a moment.
  func slot(_ frame: UInt64, vm: Int, at position: Position) -> ObservedSlot? {
    guard vm < slots.count else { return nil }
    return slots[vm].first { $0.frames.contains(frame) && $0.from <= position && position < $0.to }
  }
}
