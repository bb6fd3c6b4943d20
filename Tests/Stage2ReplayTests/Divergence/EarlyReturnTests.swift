import KVMTypes
import Testing

@testable import Stage2Replay

/// `kvm_handle_guest_abort` leaves before kvm_guest_fault for an external abort, and for an address that the guest or the host cannot
/// have: rule O2.
@Suite("Aborts without their fault")
struct EarlyReturnTests {
  private let vector: UInt64 = 0xffff_8000_8001_0200

  /// A VM whose vCPU has its first page.
  private func story() -> Scenario {
    let story = Scenario()
    story.createSlot()
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory, level: 1)
    return story
  }

  @Test("The guest goes on at its vector: it got an exception", arguments: [0x20, 0x24] as [UInt64])
  func injected(exceptionClass: UInt64) throws {
    let story = story()
    for _ in 0..<2 {
      story.exit(.vcpu0, exceptionClass: exceptionClass)
      story.enter(.vcpu0, pc: vector)
    }
    story.handle(.vcpu0, story.memory + story.page, pc: vector)
    let replayed = try story.replay()
    #expect(replayed.divergences == ["O2 explained E20 x2"])
    #expect(replayed.operations(.map).count == 2)
    #expect(replayed.result.divergences.byVM[0]?.explained == 2)
  }

  @Test("The VMM gets the abort: KVM_EXIT_ARM_SEA, or KVM_RUN fails with -EFAULT")
  func handedOver() throws {
    let story = story()
    story.exit(.vcpu0)
    story.exitToVMM(.vcpu0, reason: 41)
    story.enter(.vcpu0, pc: vector)
    story.exit(.vcpu0)
    story.exitToVMM(.vcpu0, reason: 0, errno: -14)
    try expect(story, ["O2 explained E20 x2"])
  }

  @Test("The guest goes on where it was, or the VMM gets something else: the fault's event is missing")
  func missing() throws {
    let same = story()
    same.exit(.vcpu0)
    same.enter(.vcpu0)
    try expect(same, ["O2 unexplained"])
    let signal = story()
    signal.exit(.vcpu0)
    signal.exitToVMM(.vcpu0, reason: 10, errno: -4)
    signal.enter(.vcpu0)
    try expect(signal, ["O2 unexplained"])
    let device = story()
    device.exit(.vcpu0)
    device.exitToVMM(.vcpu0)
    device.enter(.vcpu0)
    try expect(device, ["O2 unexplained"])
  }

  @Test("Where the vCPU left is not known behind a gap, and nothing follows at the end")
  func unknown() throws {
    let gap = story()
    gap.exit(.vcpu0)
    gap.loseEvents(cpu: 0)
    gap.enter(.vcpu0)
    try expect(gap, [])
    let end = story()
    end.exit(.vcpu0)
    try expect(end, [])
  }
}
