import KVMTrace
import KVMTypes
import Testing
import TraceSynth

@testable import Stage2Replay

/// Requests and histories that no VMM and no kernel has, and events from which no slot follows.
@Suite("Memslots that cannot be")
struct HostileMemslotTests {
  @Test("Requests of any place and size", arguments: PageSize.allCases, [true, false])
  func requests(pageSize: PageSize, hasReturns: Bool) throws {
    let story = Scenario(pageSize, formats: Scenario.requestFormats(withReturns: hasReturns))
    for address in HostileTests.extremes {
      for bytes in HostileTests.extremes {
        for hva in [0, story.congruentHVA, .max] {
          story.emit(
            KVMEventFormats.slotRequest, .vmm,
            [0, 0xffff_0000, bytes & 3, address & 7, address, bytes, hva, 0])
          if hasReturns { story.answerRequest(Int64(bitPattern: bytes & 1)) }
        }
      }
    }
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    #expect(try story.replay().result.vms.map(\.faults.total).reduce(0, +) == 1)
  }

  @Test("Histories of any slots, times and threads", arguments: PageSize.allCases)
  func histories(pageSize: PageSize) throws {
    let story = Scenario(pageSize)
    var history = MemslotHistory()
    for base in HostileTests.extremes {
      var vm = MemslotHistory.VM(creator: ThreadID(-1), tids: [ThreadID(1001), ThreadID(.max)])
      vm.to = Nanoseconds(base)
      for pages in HostileTests.extremes {
        let slot = Memslot(
          id: -1, base: GFN(base), pages: pages, hva: HVA(pages), flags: .logDirtyPages, basis: .assumed)
        var life = MemslotHistory.Slot(slot, from: Nanoseconds(base), to: Nanoseconds(pages))
        life.changes = [
          .init(at: Nanoseconds(pages), flags: []), .init(at: Nanoseconds(0), flags: .readOnly),
        ]
        vm.slots.append(life)
      }
      history.vms.append(vm)
    }
    story.options.memslots = history
    story.enter(.vcpu0)
    story.handle(.vcpu0, story.memory)
    story.unmap(.kswapd, story.congruentHVA)
    #expect(try story.replay().result.vms.map(\.faults.total).reduce(0, +) == 1)
  }

  @Test("Faults and notifiers at random: whatever is inferred is possible, and no host address is made up")
  func random() throws {
    let seed = UInt64.random(in: 0 ... .max)
    var state = seed
    func next(_ bound: UInt64) -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (state >> 33) % bound
    }
    let story = Scenario()
    story.options.infersMemslots = true
    let vcpus: [Scenario.Thread] = [.vcpu0, .vcpu1]
    for vcpu in vcpus { story.enter(vcpu) }
    for _ in 0..<20_000 {
      let vcpu = vcpus[Int(next(2))]
      let page = next(64) * story.page
      let address =
        next(20) == 0 ? HostileTests.extremes[Int(next(11))] : story.memory + page
      let hva =
        next(20) == 0
        ? HostileTests.extremes[Int(next(11))] : story.crookedHVA + next(64) * story.page
      switch next(8) {
      case 0: story.handle(vcpu, address)
      case 1: story.fault(vcpu, address, .permission, level: 3, .write)
      case 2: story.handleAccessFault(vcpu, address, level: next(4) == 0 ? 2 : 3)
      case 3: story.mmio(vcpu, address)
      case 4: story.unmap(next(2) == 0 ? vcpu : .kswapd, hva)
      case 5: story.age(.kswapd, hva, bytes: story.page << (next(3)))
      case 6: story.exitToVMM(vcpu, errno: next(4) == 0 ? -14 : 0)
      default: if next(500) == 0 { story.loseEvents(cpu: vcpu.cpu) }
      }
    }
    let result = try story.replay().result
    for slot in result.vms.flatMap(\.slots) {
      #expect(slot.isPossible(.size4K) && slot.hva == nil, "seed \(seed): \(slot)")
    }
  }
}
