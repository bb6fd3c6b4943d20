internal import Glibc
package import Stage2Model

/// Who follows on one side: a shared object in a process of its own or in this one, or the model.
package enum FollowerChoice {
  /// A shared object, in a process that is started as `program`.
  case child(BackendLibrary, program: String)
  /// A shared object in this process.
  case local(BackendLibrary)
  /// The model of a kernel.
  case model(Profile)
}

/// One side of a comparison: who follows, and what it told so far.
final class Side {
  private enum Follower {
    case child(ChildFollower)
    case local(LocalFollower<ForeignStage2>)
    case pkvm(LocalFollower<TellingModel<PKVMStage2>>)
    case traditional(LocalFollower<TellingModel<TraditionalStage2>>)
  }

  let choice: FollowerChoice
  private var follower: Follower
  private var ring: WordRing
  /// What it told by name, and how often.
  private(set) var totals = SideTotals()
  /// A record was none that a follower writes.
  private var isWild = false
  /// Calls before this one were told by an earlier process.
  private var firstOfProcess: UInt64 = 0

  init(_ choice: FollowerChoice) throws(FollowerFailure) {
    self.choice = choice
    (follower, ring) = try Self.start(choice)
  }

  private static func start(_ choice: FollowerChoice) throws(FollowerFailure) -> (Follower, WordRing) {
    switch choice {
    case .child(let library, let program):
      let follower = try ChildFollower(program: program, path: library.path)
      return (.child(follower), follower.effects())
    case .local(let library):
      let follower = LocalFollower<ForeignStage2> { call in
        guard let shape = call.shape else { preconditionFailure("a VM of no shape") }
        return ForeignStage2(library, shape, frameOffset: call.pfn)
      }
      return (.local(follower), follower.effects())
    case .model(let profile):
      return model(profile)
    }
  }

  private static func model(_ profile: Profile) -> (Follower, WordRing) {
    let names = UnsafeMutablePointer<EffectNames>.allocate(capacity: 1)
    // Lives as long as the program: the models look at it to their end.
    names.initialize(to: EffectNames())
    guard let geometry = try? profile.geometry() else { preconditionFailure("a profile without a table") }
    guard profile.isPKVM else {
      let follower = LocalFollower<TellingModel<TraditionalStage2>> { _ in
        TellingModel(TraditionalStage2(geometry: geometry, features: profile.features), names: names)
      }
      return (.traditional(follower), follower.effects())
    }
    let follower = LocalFollower<TellingModel<PKVMStage2>> { call in
      var profile = profile
      profile.isProtected = call.shape?.isProtected ?? false
      guard let configuration = try? profile.pkvmConfiguration() else {
        preconditionFailure("a profile without a table")
      }
      return TellingModel(PKVMStage2(configuration), names: names)
    }
    return (.pkvm(follower), follower.effects())
  }

  /// Whether it tells every effect with its arguments.
  var isForeign: Bool {
    if case .model = choice { false } else { true }
  }

  /// What it is called.
  var name: String {
    switch choice {
    case .child(let library, _), .local(let library): library.name
    case .model(let profile): profile.name
    }
  }

  /// Whether it follows in a process of its own, which may be gone.
  var isProcess: Bool {
    if case .child = choice { true } else { false }
  }

  /// Hands a call on.
  ///
  /// - Parameter makeRoom: reads what was told before.
  /// - Returns: whether there was room.
  @inline(__always)
  func offer(_ call: StageCall, makeRoom: () -> Void) -> Bool {
    switch follower {
    case .child(let child): return child.offer(call)
    case .local(let local): local.carryOut(call, makeRoom: makeRoom)
    case .pkvm(let local): local.carryOut(call, makeRoom: makeRoom)
    case .traditional(let local): local.carryOut(call, makeRoom: makeRoom)
    }
    return true
  }

  /// The next record of a call that is to be compared; nil where there is none yet.
  ///
  /// - Parameters:
  ///   - end: calls from this one on have not been made.
  ///   - isLeftOut: whether a VM is.
  @inline(__always)
  func next(before end: UInt64, isLeftOut: (UInt32) -> Bool) -> EffectRecord? {
    while !isWild, let place = ring.next() {
      if place[0] >> 32 & 0xff == EffectRecord.kind {
        guard let record = EffectRecord(at: place), record.number < end else {
          isWild = true
          return nil
        }
        if record.number >= firstOfProcess, !isLeftOut(record.vm) { return record }
      } else {
        guard let told = NameRecord.name(at: place), totals.learn(told.id, told.name) else {
          isWild = true
          return nil
        }
      }
      ring.consume(place)
    }
    return nil
  }

  /// Nobody looks any more at what it tells.
  func discard() { while let place = ring.next() { ring.consume(place) } }

  /// A VM is left out from here on.
  func forget(vm: UInt32) { totals.forget(vm: vm) }

  /// The record that `next` gave has been looked at.
  @inline(__always)
  func take(_ record: EffectRecord) {
    totals.add(record)
    if let place = ring.next() { ring.consume(place) }
  }

  /// Why it follows no more, and the call in which that was.
  func end(limit: Duration) -> (end: ChildFollower.End, call: UInt64?)? {
    guard case .child(let child) = follower else { return nil }
    if isWild || ring.isBroken || child.isBroken { return (.overwrote, nil) }
    return child.end(limit: limit).map { ($0, child.lastBegun) }
  }

  /// Starts it once more; calls before `number` have been told.
  func restart(from number: UInt64) throws(FollowerFailure) {
    firstOfProcess = number
    totals.forgetNumbers()
    (follower, ring) = try Self.start(choice)
  }
}
