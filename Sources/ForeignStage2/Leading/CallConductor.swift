internal import Glibc
internal import KVMTypes
package import Stage2Model

/// Hands the calls of a replay to the sides that follow, and compares what they tell, call by call, as it comes.
///
/// The replay waits only where a ring is full. A side that cannot go on loses the VM of the call: that VM is left out on both sides, and
/// a process that is gone is started once more and catches up from the history.
package final class CallConductor {
  /// What is known of a VM that is led.
  private struct Led {
    enum Life {
      /// No call has come for it: nobody has made it.
      case awaited
      case living
      /// It has ended.
      case over
      /// A side could not go on with it.
      case leftOut
    }

    var shape: ForeignShape
    var life = Life.awaited
    /// The numbers of the call that makes it, and of the last one before it was over.
    var calls: (first: UInt64, last: UInt64)?
    /// The highest number of a vCPU that had a memory cache.
    var lastVCPU: Int32 = -1
    /// Maps so far, and calls since the VM was looked at as a whole.
    var maps = 0
    var unseen = 0
  }

  private let sides: [Side]
  private let history: CallHistory
  private var comparison: CallComparison
  private var vms: ContiguousArray<Led> = []
  /// How many calls have gone to each side.
  private var sent: [UInt64]
  /// The number of the next call to be compared.
  private var compared: UInt64 = 0
  private var mayDrainAt: UInt64 = 0
  private var restarts = 0
  /// What the next calls are made for.
  package var cause = CallCause(.other, time: Nanoseconds(0), cpu: CPUIndex(0), tid: ThreadID(0))
  /// The next calls correct the model.
  package var isCorrecting = false
  private var lost: [LostVM] = []
  /// VMs that are left out, and that both sides are still to release.
  private var leavers: [UInt32] = []
  /// Why nothing more is handed on.
  private var problem: FollowerFailure?

  /// So long a call may take.
  private static let limit = Duration.seconds(10)
  /// A VM is looked at as a whole after so many calls, or as many as it has had maps.
  private static let callsBetweenLooks = 4096
  /// A process may be started once more so many times without a VM that is left out from there on.
  private static let restartsMax = 64

  /// - Parameter choices: who follows: two to compare, or one to see what it does.
  package init(_ choices: [FollowerChoice]) throws(FollowerFailure) {
    history = try CallHistory()
    var sides: [Side] = []
    for choice in choices { sides.append(try Side(choice)) }
    self.sides = sides
    sent = choices.map { _ in 0 }
    comparison = CallComparison(isExact: sides.allSatisfy(\.isForeign))
  }

  // MARK: Calls

  /// A VM appears. It is made with its first call: a replay knows of VMs long before it is their turn, and a host has never had so many.
  ///
  /// - Returns: its number.
  func create(_ shape: ForeignShape) -> UInt32 {
    vms.append(Led(shape: shape))
    return UInt32(vms.count - 1)
  }

  /// Whether a VM can be called, which is made where it was awaited.
  @inline(__always)
  private func isLiving(_ vm: UInt32) -> Bool {
    if vms[Int(vm)].life == .awaited { begin(vm) }
    return vms[Int(vm)].life == .living
  }

  private func begin(_ vm: UInt32) {
    vms[Int(vm)].life = .living
    vms[Int(vm)].calls = (history.count, .max)
    make(.create(vms[Int(vm)].shape, vm: vm))
  }

  /// Hands on a call that is made now.
  @inline(__always)
  func make(_ call: StageCall) {
    guard isLiving(call.vm) else { return }
    var call = call
    call.cause = cause
    call.isCorrection = isCorrecting
    hand(call)
    vms[Int(call.vm)].unseen += 1
    if call.function == .map { vms[Int(call.vm)].maps += 1 }
    if call.function == .topUpMemcache, call.vcpu > vms[Int(call.vm)].lastVCPU {
      vms[Int(call.vm)].lastVCPU = call.vcpu
    }
    if vms[Int(call.vm)].unseen >= max(Self.callsBetweenLooks, vms[Int(call.vm)].maps) { look(at: call.vm) }
  }

  /// An RCU grace period passes, if the VM is there.
  func passGracePeriod(of vm: UInt32) {
    if vms[Int(vm)].life == .living { make(StageCall(.gracePeriod, vm: vm)) }
  }

  /// Hands on a call of a reproducer, as it is.
  package func repeatCall(_ call: StageCall) {
    if call.function == .create, let shape = call.shape {
      while vms.count <= Int(call.vm) { vms.append(Led(shape: shape)) }
      if vms[Int(call.vm)].calls == nil { vms[Int(call.vm)].calls = (history.count, .max) }
    }
    if Int(call.vm) < vms.count, !isLeftOut(call.vm) { hand(call) }
  }

  private func look(at vm: UInt32) {
    vms[Int(vm)].unseen = 0
    hand(StageCall(.look, vm: vm))
  }

  /// The VM ends: its table is destroyed as `kvm_arch_destroy_vm` does it. What comes for it afterwards is not handed on.
  func end(_ vm: UInt32) {
    if vms[Int(vm)].life == .awaited { vms[Int(vm)].life = .over }
    guard problem == nil, vms[Int(vm)].life == .living else { return }
    isCorrecting = false
    cause.kind = .end
    look(at: vm)
    var destroy = StageCall(.destroyRange, vm: vm)
    destroy.size = 1 << UInt64(vms[Int(vm)].shape.ipaBits)
    make(destroy)
    make(StageCall(.destroyPGD, vm: vm))
    for vcpu in 0..<max(vms[Int(vm)].lastVCPU + 1, 0) {
      var free = StageCall(.freeMemcache, vm: vm)
      free.vcpu = vcpu
      make(free)
    }
    make(StageCall(.freeSplitCache, vm: vm))
    make(StageCall(.release, vm: vm))
    guard vms[Int(vm)].life == .living else { return }
    vms[Int(vm)].life = .over
    vms[Int(vm)].calls?.last = history.count - 1
  }

  @inline(__always)
  private func hand(_ call: StageCall) {
    if problem != nil { return }
    var call = call
    call.number = history.count
    do { try history.append(call) } catch { return give(up: error) }
    for side in sides.indices {
      if sent[side] == call.number, sides[side].offer(call, makeRoom: { wait() }) {
        sent[side] += 1
      } else {
        catchUp(side)
      }
    }
    if call.number >= mayDrainAt {
      mayDrainAt = call.number + 64
      _ = drain()
    }
    if !leavers.isEmpty { releaseLeavers() }
  }

  /// A VM that is left out is gone on both sides, as it will be on the host: what one of them goes on with is not to be short of the room
  /// that it takes. Not while a call is handed on, which may wait for what loses a VM.
  private func releaseLeavers() {
    while let vm = leavers.popLast() { hand(StageCall(.release, vm: vm)) }
  }

  private func give(up reason: FollowerFailure) { if problem == nil { problem = reason } }

  /// Hands a side what it has not got yet, however long that takes.
  private func catchUp(_ side: Int) {
    while problem == nil {
      offerHistory(to: side)
      if sent[side] == history.count { return }
      wait()
    }
  }

  /// Hands a side of what it has not got yet as much as there is room for.
  private func offerHistory(to side: Int) {
    while sent[side] < history.count {
      let call = history[sent[side]]
      if isCompared(call.vm) {
        sent[side] += 1
        continue
      }
      // A process that never made a VM does nothing where it is to release it.
      if !isLeftOut(call.vm) || call.function == .release,
        !sides[side].offer(call, makeRoom: { wait() })
      {
        return
      }
      sent[side] += 1
    }
  }

  /// Whether all calls of a VM have been compared, of which nobody has to tell anything more.
  private func isCompared(_ vm: UInt32) -> Bool {
    guard Int(vm) < vms.count, let calls = vms[Int(vm)].calls else { return false }
    return calls.last < compared
  }

  /// The first call that a process has to carry out that is started once more: with it the first VM begins that is still there.
  private var firstNeeded: UInt64 {
    vms.indices.reduce(compared) { first, vm in
      guard let calls = vms[vm].calls, vms[vm].life != .leftOut, calls.last >= compared else { return first }
      return min(first, calls.first)
    }
  }

  @inline(__always)
  private func isLeftOut(_ vm: UInt32) -> Bool { Int(vm) < vms.count && vms[Int(vm)].life == .leftOut }

  /// Somebody has to go on before anything else can.
  private func wait() {
    if problem != nil {
      // Who follows here waits for room, which nobody makes any more.
      for side in sides { side.discard() }
      return
    }
    if drain() > 0 { return }
    for side in sides.indices {
      checkEnd(of: side)
      if sides[side].isProcess { offerHistory(to: side) }
    }
    usleep(300)
  }

  // MARK: Comparison

  /// Compares what both sides have told.
  ///
  /// - Returns: how many calls that were.
  private func drain() -> Int {
    var count = 0
    while let record = sides[0].next(before: history.count, isLeftOut: isLeftOut) {
      guard sides.count == 2 else {
        finish(record, nil)
        count += 1
        continue
      }
      guard let other = sides[1].next(before: history.count, isLeftOut: isLeftOut) else { break }
      // A VM that is left out may have been told of by one side only.
      if record.number < other.number {
        sides[0].take(record)
      } else if record.number > other.number {
        sides[1].take(other)
      } else {
        if record.vm != StageCall.everyVM {
          comparison.compare(record, sides[0].totals, other, sides[1].totals) { history[$0] }
        }
        finish(record, other)
        count += 1
      }
    }
    return count
  }

  @inline(__always)
  private func finish(_ record: EffectRecord, _ other: EffectRecord?) {
    let number = record.number
    let panics = [record.hasPanicked, other?.hasPanicked ?? false]
    let texts = panics.contains(true) ? [panic(record, 0), panic(other, 1)] : []
    sides[0].take(record)
    if let other { sides[1].take(other) }
    compared = number + 1
    for side in panics.indices where panics[side] {
      lose(side, .panic(texts[side] ?? "it does not say why"), history[number])
    }
  }

  private func panic(_ record: EffectRecord?, _ side: Int) -> String? {
    record?.items.compactMap { sides[side].totals.name($0.name) }.last { $0.kind == .panic }?.words
  }

  // MARK: What goes wrong

  /// Looks whether a side is gone, or in a call that does not return.
  private func checkEnd(of side: Int) {
    guard let (end, number) = sides[side].end(limit: Self.limit) else { return }
    let reason: LostVM.Reason
    switch end {
    case .signal(let signal): reason = .signal(signal)
    case .exit(let status): reason = .exit(status)
    case .hangs(let duration): reason = .hangs(seconds: Int(duration.components.seconds))
    case .overwrote:
      // Nor is it known in which call.
      return give(up: .ofSide("\(sides[side].name): wrote over the memory that it shares with this program"))
    }
    guard let number, number < history.count else {
      return give(up: .ofSide("\(sides[side].name): \(reason.words) before its first call"))
    }
    // All that it had told before.
    _ = drain()
    let call = history[number]
    if !lose(side, reason, call) { restarts += 1 }
    if restarts > Self.restartsMax {
      return give(up: .ofSide("\(sides[side].name): \(reason.words) again and again"))
    }
    do { try sides[side].restart(from: compared) } catch { return give(up: error) }
    sent[side] = firstNeeded
  }

  /// A side cannot go on with the VM of a call.
  ///
  /// - Returns: whether the other one could up to there.
  @discardableResult
  private func lose(_ side: Int, _ reason: LostVM.Reason, _ call: StageCall) -> Bool {
    guard Int(call.vm) < vms.count else { return false }
    let isNews = !isLeftOut(call.vm) || lost.last.map { $0.call.number == call.number } ?? false
    if isNews {
      var calls: [StageCall] = []
      for number in 0...call.number where history[number].vm == call.vm { calls.append(history[number]) }
      lost.append(LostVM(side: side, reason: reason, call: call, calls: calls))
    }
    if vms[Int(call.vm)].life == .living { leavers.append(call.vm) }
    vms[Int(call.vm)].life = .leftOut
    for side in sides { side.forget(vm: call.vm) }
    return isNews
  }

  // MARK: The end

  /// Ends the VMs that are still there, and waits until everything is compared.
  ///
  /// - Returns: what was found.
  package func finish() throws(FollowerFailure) -> PatchFindings {
    for vm in vms.indices { end(UInt32(vm)) }
    let mark = history.count
    hand(StageCall(.look, vm: StageCall.everyVM))
    while compared <= mark, problem == nil {
      wait()
    }
    if let problem { throw problem }
    return PatchFindings(
      calls: mark, vms: vms.count, comparison, sides.map { SideFindings($0) }, lost: lost)
  }
}
