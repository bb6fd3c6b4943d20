internal import KVMTypes

// Faults of one region whose windows overlap.

extension RegionTimelines {
  /// The first fault of another vCPU that satisfies a condition, among those whose windows overlap that of `fault` and
  /// end later.
  ///
  /// - Returns: the end of its window.
  func rival(of fault: FaultWindow, where condition: (TimelineNode, TimelineNode.Index) -> Bool) -> Sequence?
  {
    let entry = node(of: fault).entry
    func isRival(_ index: TimelineNode.Index) -> Bool {
      let node = self[index]
      return node.isFault && node.tid != fault.tid && node.isWaiting && node.end > fault.end
        && node.end != .pending
        && node.sequence < fault.end && condition(node, index)
    }
    var index = node(of: fault).previous
    while index != TimelineNode.none {
      if isRival(index) { return self[index].end }
      // Windows end in about the order in which they begin: what ended before this vCPU entered is far enough back.
      if self[index].isFault, self[index].end <= entry { break }
      index = self[index].previous
    }
    index = node(of: fault).next
    while index != TimelineNode.none, self[index].sequence < fault.end {
      if isRival(index) { return self[index].end }
      index = self[index].next
    }
    return nil
  }

  /// The place at which the last of the faults ends whose windows overlap that of `fault`, which is one of them.
  func endOfRivals(of fault: FaultWindow) -> Sequence {
    var latest = fault.end
    var index = node(of: fault).previous
    while index != TimelineNode.none, !isFarBack(index, from: fault) {
      if self[index].isFault, self[index].end > fault.begin { latest = max(latest, self[index].end) }
      index = self[index].previous
    }
    index = node(of: fault).next
    while index != TimelineNode.none, self[index].sequence < fault.end {
      if self[index].isFault { latest = max(latest, self[index].end) }
      index = self[index].next
    }
    return latest
  }

  /// Windows end in about the order in which they begin: what ended before the vCPU of a fault entered is far enough back.
  private func isFarBack(_ index: TimelineNode.Index, from fault: FaultWindow) -> Bool {
    self[index].isFault && self[index].end <= fault.evidence.entry
  }

  /// Whether a fault met a leaf that the one of another vCPU at `rival`, which had found none, may have mapped.
  ///
  /// A permission or access flag fault shows that its leaf is there. So what has to map it is over by then, though its window may
  /// last.
  func mayMeetLeaf(_ fault: FaultWindow, of rival: TimelineNode) -> Bool {
    guard fault.kind != .translation, rival.kind == .translationFault, rival.sequence < fault.begin else {
      return false
    }
    return fault.level < .l3 || rival.frames == node(of: fault).frames
  }

  /// Whether no other vCPU can have mapped the page of `fault`, before or after it.
  func isAlone(_ fault: FaultWindow, of vm: VMIndex) -> Bool {
    if fault.node.map({ isRaced($0, of: vm) }) ?? false || node(of: fault).followsRival { return false }
    var index = node(of: fault).next
    while index != TimelineNode.none {
      if self[index].isFault, self[index].tid != fault.tid { return false }
      index = self[index].next
    }
    return true
  }

  /// Whether the thread of `fault` entered the guest before a place in the merged trace and faulted on the same page once
  /// more.
  @inline(__always)
  func faultsAgain(_ fault: FaultWindow, before sequence: Sequence) -> Bool {
    var index = node(of: fault).nextOnPage
    while index != TimelineNode.none, self[index].entry < sequence {
      if self[index].tid == fault.tid, self[index].kind == .translationFault { return true }
      index = self[index].nextOnPage
    }
    return false
  }
}
