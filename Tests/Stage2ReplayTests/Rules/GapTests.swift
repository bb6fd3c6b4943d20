import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// What a thread began before a gap is not taken to go on behind it.
@Suite("Threads across gaps")
struct GapTests {
  private static let kvm: UInt64 = 0xffff_0000

  /// Events are lost of the CPU of a thread that has nothing to do with a VM.
  private func lose(_ story: Scenario) {
    story.run(.vmm)
    story.loseEvents(cpu: Scenario.Thread.vmm.cpu)
    story.run(.vmm)
  }

  // MARK: Waits

  @Test("A wait behind a gap is not that of a fault from before it, whichever CPU lacks events")
  func faultWait() throws {
    for lossy in [nil, Scenario.Thread.vcpu0, .kswapd] {
      let profile = try ProfileTests.profile { story in
        story.run(.kswapd)
        story.fault(.vcpu0, story.memory)
        if let lossy { story.loseEvents(cpu: lossy.cpu) }
        story.contend(.vcpu0, lock: Self.kvm, flags: 2)
        story.run(.kswapd)
        story.enter(.vcpu0)
      }
      #expect(profile.isPKVM == (lossy != nil))
      #expect(profile.basis[.path] == (lossy == nil ? .derived : .assumed))
    }
  }

  @Test("A gap that was over before a fault, or began behind its wait, leaves what that shows")
  func otherGap() throws {
    for isBefore in [false, true] {
      let profile = try ProfileTests.profile { story in
        if isBefore { lose(story) }
        story.fault(.vcpu0, story.memory)
        story.contend(.vcpu0, lock: Self.kvm, flags: 2)
        if !isBefore { lose(story) }
        story.enter(.vcpu0)
      }
      #expect(!profile.isPKVM && profile.basis[.path] == .derived)
    }
  }
}
