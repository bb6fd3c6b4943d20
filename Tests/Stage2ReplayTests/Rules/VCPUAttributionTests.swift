import KVMTypes
import Stage2Replay
import Testing

/// Two VMMs that were started together: the numbers of their threads come in turns, so that the nearest creator below is
/// the wrong one for the first VM's vCPU.
@Suite("Which VM a vCPU's thread runs")
struct VCPUAttributionTests {
  private let first = Scenario.Thread(tid: 1000, cpu: 0)
  private let second = Scenario.Thread(tid: 1001, cpu: 1)
  private let firstVCPU = Scenario.Thread(tid: 1002, cpu: 2)
  private let secondVCPU = Scenario.Thread(tid: 1003, cpu: 3)
  private let secondHVA: UInt64 = 0xee00_4000_1000

  /// Both VMs have the same memory, unless told otherwise.
  private func story(secondMemory: UInt64? = nil) -> Scenario {
    let story = Scenario()
    story.createSlot(first, kvm: 0xa000)
    story.createSlot(second, kvm: 0xb000, ipa: secondMemory, hva: secondHVA)
    story.enter(firstVCPU)
    story.enter(secondVCPU)
    return story
  }

  private func vcpus(_ story: Scenario) throws -> [[Int32]] {
    try story.replay().result.vms.map { $0.vcpus.map(\.rawValue) }
  }

  @Test("A wait for the VM's lock in a fault settles it, for all the faults before, too")
  func lock() throws {
    let story = story()
    story.handle(firstVCPU, story.memory)
    story.handle(secondVCPU, story.memory)
    story.fault(firstVCPU, story.memory + story.page)
    story.contend(firstVCPU, lock: 0xa000, flags: 4)
    story.enter(firstVCPU)
    #expect(try vcpus(story) == [[1002], [1003]])
  }

  @Test("A copy-on-write settles it: the thread unmaps the page that its VM has at the address")
  func copyOnWrite() throws {
    let story = story()
    story.handle(firstVCPU, story.memory)
    story.handle(secondVCPU, story.memory)
    story.fault(firstVCPU, story.memory, .permission, .write)
    story.unmap(firstVCPU, story.crookedHVA)
    story.enter(firstVCPU)
    #expect(try vcpus(story) == [[1002], [1003]])
  }

  @Test("Faults where a VM has no memory rule it out")
  func memory() throws {
    let story = story(secondMemory: 0x8000_0000)
    // The first fault of each is on a device that neither has in a slot.
    for vcpu in [firstVCPU, secondVCPU] {
      story.fault(vcpu, 0x900_0000, .translation, level: 1, .write)
      story.mmio(vcpu, 0x900_0000)
      story.enter(vcpu)
    }
    for page in 0..<8 as Range<UInt64> {
      story.handle(firstVCPU, story.memory + page * story.page)
      story.handle(secondVCPU, 0x8000_0000 + page * story.page)
    }
    #expect(try vcpus(story) == [[1002], [1003]])
  }

  @Test("A thread that made the slots itself runs its own VM")
  func creator() throws {
    let story = story()
    story.enter(first)
    story.handle(first, story.memory)
    story.handle(secondVCPU, story.memory)
    #expect(try vcpus(story) == [[1000], [1003]])
  }

  @Test("A thread that is given the pages of a VM again is of the other one")
  func rivalry() throws {
    let story = story()
    let third = Scenario.Thread(tid: 1004, cpu: 0)
    // The first VM's vCPU gives itself away, and nothing else tells the others.
    story.handle(firstVCPU, story.memory)
    story.fault(firstVCPU, story.memory + story.page)
    story.contend(firstVCPU, lock: 0xa000, flags: 4)
    story.enter(firstVCPU)
    for page in 2..<40 as Range<UInt64> {
      story.handle(firstVCPU, story.memory + page * story.page)
      story.handle(secondVCPU, story.memory + page * story.page)
      story.handle(third, story.memory + (100 + page) * story.page)
      story.handle(secondVCPU, story.memory + (100 + page) * story.page)
    }
    #expect(try vcpus(story) == [[1002, 1004], [1003]])
  }

  @Test("Pages that the host took away in between rule nothing out")
  func taken() throws {
    let story = story()
    story.fault(firstVCPU, story.memory)
    story.contend(firstVCPU, lock: 0xb000, flags: 4)
    story.enter(firstVCPU)
    for page in 2..<40 as Range<UInt64> {
      story.handle(firstVCPU, story.memory + page * story.page)
      story.unmap(second, secondHVA + page * 4096)
      story.handle(secondVCPU, story.memory + page * story.page)
    }
    #expect(try vcpus(story) == [[], [1002, 1003]])
  }

  @Test("Without any of that, the nearest creator below is taken")
  func nearest() throws {
    let story = story()
    story.handle(firstVCPU, story.memory)
    story.handle(secondVCPU, story.memory)
    #expect(try vcpus(story) == [[], [1002, 1003]])
  }
}
