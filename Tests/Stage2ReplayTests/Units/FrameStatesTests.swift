import KVMTypes
import Testing

@testable import Stage2Replay

@Suite("What is known of frames")
struct FrameStatesTests {
  private let tid = ThreadID(7)
  private let moment = TraceMoment(Sequence(3), Nanoseconds(30))

  @Test("A thread's frame is known until everything is forgotten, and again from then on")
  func forget() {
    var states = FrameStates()
    #expect(states[tid, GFN(1)].mappedSince == nil)
    for frame in [1, 2] as [UInt64] { states[tid, GFN(frame)].mappedSince = moment }
    #expect(states[tid, GFN(1)].mappedSince?.sequence == Sequence(3))
    #expect(states[ThreadID(8), GFN(1)].mappedSince == nil)
    states.removeAll()
    states[tid, GFN(1)].youngSince = moment
    #expect(states[tid, GFN(1)].mappedSince == nil && states[tid, GFN(1)].youngSince != nil)
    #expect(states[tid, GFN(2)].mappedSince == nil)
  }
}
