internal import KVMTypes

/// Since when a frame is known to be mapped, and since when its access flag is known to be set, for the frames that a
/// thread faulted on.
///
/// What one thread saw is kept apart from what another did: they may run different VMs. The table has a fixed size; a
/// frame takes the place of another with the same hash, and less is known of that one.
struct FrameStates {
  struct State {
    fileprivate var tid = ThreadID(-1)
    /// How often everything had been forgotten when it was put down.
    fileprivate var losses: UInt32 = 0
    fileprivate var frame = GFN(.max)
    var mappedSince: TraceMoment?
    var youngSince: TraceMoment?
  }

  private static let bits: UInt64 = 14
  /// Empty before the first frame.
  private var states: [State] = []
  private var losses: UInt32 = 0

  subscript(tid: ThreadID, frame: GFN) -> State {
    get {
      if states.isEmpty { return State() }
      let state = states[Self.position(tid, frame)]
      return state.tid == tid && state.frame == frame && state.losses == losses ? state : State()
    }
    set {
      if states.isEmpty { states = [State](repeating: State(), count: 1 << Self.bits) }
      var state = newValue
      state.tid = tid
      state.frame = frame
      state.losses = losses
      states[Self.position(tid, frame)] = state
    }
  }

  /// Forgets everything, which a trace may ask for as often as events are lost in it.
  mutating func removeAll() {
    losses &+= 1
    // States of the same count may be left from long ago.
    if losses == 0 { states = [] }
  }

  /// Neighbouring frames go to neighbouring places, so that a stretch of them does not drive itself out.
  private static func position(_ tid: ThreadID, _ frame: GFN) -> Int {
    let mix = UInt64(UInt32(bitPattern: tid.rawValue)) &* 0x9e37_79b9_7f4a_7c15
    let shifted: UInt64 = mix >> UInt64(64 - bits)
    let mask: UInt64 = (1 << UInt64(bits)) - 1
    return Int((frame.rawValue &+ shifted) & mask)
  }
}
