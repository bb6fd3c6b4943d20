import KVMTrace
import KVMTypes
import Stage2Replay
import Testing
import TraceSynth
import UnnamedFiles

/// Which events are about which VM.
@Suite("Which VM an event is about")
struct VMAttributorTests {
  private let first = Scenario.Thread(tid: 1000, cpu: 0)
  private let firstVCPU = Scenario.Thread(tid: 1001, cpu: 1)
  private let second = Scenario.Thread(tid: 2000, cpu: 2)
  private let secondVCPU = Scenario.Thread(tid: 2001, cpu: 3)
  private let other = Scenario.Thread(tid: 60, cpu: 3)
  private let secondHVA: UInt64 = 0xee00_4000_1000

  /// Two VMs whose vCPUs have each mapped a page, with the kernel's operation in a probe.
  private func story(secondHVA: UInt64? = nil) -> Scenario {
    let story = Scenario()
    story.createSlot(first, kvm: 0xa000)
    story.createSlot(second, kvm: 0xb000, hva: secondHVA ?? self.secondHVA)
    for (thread, table) in [(firstVCPU, UInt64(0x70a)), (secondVCPU, 0x70b)] {
      story.enter(thread)
      story.fault(thread, story.memory)
      story.emit(StageTwoProbeFormats.map, thread, [0, table, story.memory, story.page, 0, 0xc, 0, 0])
      story.emit(StageTwoProbeFormats.mapReturn, thread, [0, 0, 0])
      story.enter(thread)
    }
    return story
  }

  /// The VMs of the last `count` events, as far as there are some.
  private func vms(ofLast count: Int, _ story: Scenario) throws -> [Set<Int>] {
    let file = try UnnamedFile(try story.bytes())
    let trace = try TraceFile(path: file.path)
    var options = ReplayOptions()
    options.recordsTimeline = true
    var request = ProfileRequest()
    request.profile = story.profile
    let result = try Replay.run(trace, profile: request, options: options).result
    let timeline = try #require(result.timeline)
    #expect(result.vms.map(\.id) == [0, 1])
    var attributor = VMAttributor(timeline, pageSize: .size4K)
    var found: [Set<Int>] = []
    var events = trace.events(.all)
    while let run = events.nextRun() {
      for position in 0..<run.count {
        found.append(Set(attributor.vms(of: run[position])))
      }
    }
    return found.suffix(count)
  }

  @Test("An event of a vCPU's thread is about its VM, from the first entry on")
  func threads() throws {
    let found = try vms(ofLast: 14, story())
    #expect(found == [[0], [1]] + Array(repeating: [0], count: 6) + Array(repeating: [1], count: 6))
  }

  @Test("A notifier is about the VM with memory in its range, whatever thread it comes from")
  func notifiers() throws {
    let story = story()
    story.age(other, secondHVA)
    story.unmap(firstVCPU, secondHVA)
    story.unmap(other, story.crookedHVA)
    story.unmap(other, 0x1000)
    story.unmap(first, 0x1000)
    #expect(try vms(ofLast: 5, story) == [[1], [1], [0], [], [0]])
  }

  @Test("A notifier on memory that two VMs share is about both")
  func shared() throws {
    let story = story(secondHVA: Scenario().crookedHVA)
    story.age(other, story.crookedHVA)
    #expect(try vms(ofLast: 1, story) == [[0, 1]])
  }

  @Test("When a slot is gone, its memory is no VM's")
  func deletedSlot() throws {
    let story = story()
    story.age(other, secondHVA)
    story.deleteSlot(second, kvm: 0xb000)
    story.age(other, secondHVA)
    story.createSlot(second, kvm: 0xb000, hva: 0xdd00_0000_1000)
    story.age(other, secondHVA)
    story.age(other, 0xdd00_0000_1000)
    #expect(try vms(ofLast: 6, story) == [[1], [1], [], [1], [], [1]])
  }

  @Test(
    "What names a lock, a VM or a page table is about its VM, and a function's return about that of the call")
  func names() throws {
    let story = story()
    story.contend(other, lock: 0xb000, flags: 4)
    story.acquire(other, lock: 0xb000)
    story.contend(other, lock: 0xc000, flags: 4)
    story.contend(secondVCPU, lock: 0xc000, flags: 4)
    story.emit(StageTwoProbeFormats.unmap, other, [0, 0x70a, story.memory, story.page])
    story.emit(StageTwoProbeFormats.unmapReturn, other, [0, 0, 0])
    story.emit(StageTwoProbeFormats.unmap, other, [0, 0x70c, story.memory, story.page])
    story.emit(StageTwoProbeFormats.unmapReturn, other, [0, 0, 0])
    #expect(try vms(ofLast: 8, story) == [[1], [1], [], [1], [0], [0], [], []])
  }
}
