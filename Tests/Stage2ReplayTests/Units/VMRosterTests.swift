import KVMTrace
import KVMTypes
import SeededRandom
import Testing

@testable import Stage2Replay

@Suite("Register of VMs")
struct VMRosterTests {
  private let one = KernelAddress(0x1000)
  private let two = KernelAddress(0x2000)
  private let vmm = ThreadID(10)
  private let other = ThreadID(20)

  private func create(
    _ kvm: KernelAddress, by thread: ThreadID, _ roster: inout VMRoster, isContradicted: Bool = false
  ) -> VMRoster.Answer {
    roster.setMemoryRegion(of: kvm, .create, by: thread, isContradicted: isContradicted)
  }

  @Test("A VM appears with its first slot, and later changes at its address are its own, whoever makes them")
  func appears() {
    var roster = VMRoster()
    let first = create(one, by: vmm, &roster)
    #expect(first == .init(vm: VMIndex(0), news: .appeared))
    #expect(create(one, by: other, &roster) == .init(vm: VMIndex(0)))
    #expect(!roster.wasRunning(first.vm) && roster.creator(of: first.vm) == vmm)
    let second = roster.setMemoryRegion(of: two, .flagsOnly, by: other, isContradicted: false)
    #expect(second == .init(vm: VMIndex(1), news: .appeared))
    #expect(roster.wasRunning(second.vm))
    #expect(roster.live == [VMIndex(0), VMIndex(1)])
  }

  @Test("A change that contradicts the slots of an address is of another VM there")
  func addressUsedAgain() {
    var roster = VMRoster()
    _ = create(one, by: vmm, &roster)
    let next = create(one, by: other, &roster, isContradicted: true)
    #expect(next == .init(vm: VMIndex(1), news: .appeared, retired: [VMIndex(0)]))
    #expect(roster.isGone(VMIndex(0)) && roster.vm(at: one) == VMIndex(1))
  }

  @Test(
    "A thread's earlier VM is taken to be gone, unless a probe told that it was created and none that it ended"
  )
  func oneVMForAThread() {
    var roster = VMRoster()
    _ = create(one, by: vmm, &roster)
    #expect(create(two, by: vmm, &roster).retired == [VMIndex(0)])

    var told = VMRoster()
    #expect(told.initVM(one, VMType(rawValue: 0)) == nil)
    _ = create(one, by: vmm, &told)
    #expect(create(two, by: vmm, &told).retired == [])
    #expect(told.isKnownToLive(VMIndex(0)) && !told.isKnownToLive(VMIndex(1)))
    #expect(told.destroyVM(one) == VMIndex(0))
    #expect(told.vm(at: one) == nil && !told.isKnownToLive(VMIndex(0)))
    #expect(told.destroyVM(one) == nil)
  }

  @Test("A creation at an address ends the VM that had it")
  func created() {
    var roster = VMRoster()
    _ = create(one, by: vmm, &roster)
    #expect(roster.initVM(one, VMType(rawValue: 40)) == VMIndex(0))
    #expect(roster.live.isEmpty && roster.type(of: one) == VMType(rawValue: 40))
  }

  @Test("A VM of which a vCPU is in KVM_RUN when its thread makes another lives on")
  func running() {
    var roster = VMRoster()
    let first = create(one, by: vmm, &roster).vm
    let second = roster.setMemoryRegion(of: two, .create, by: vmm, isContradicted: false, running: [first])
    #expect(second.retired.isEmpty && roster.live == [first, second.vm])
    let third = create(KernelAddress(0xffff_7000), by: vmm, &roster)
    #expect(third.retired == [first, second.vm])
  }

  @Test("A VM whose vCPUs ran before anything was told of its slots is the one whose slots change first")
  func nameless() {
    var roster = VMRoster()
    let running = roster.runWithoutSlots()
    #expect(roster.wasRunning(running) && roster.kvm(of: running) == nil)
    let named = create(one, by: vmm, &roster)
    #expect(named == .init(vm: running, news: .named))
    #expect(roster.vm(at: one) == running && roster.creator(of: running) == vmm)
  }

  @Test("A history's VM takes over one that runs, unless it names its own threads, and ends once")
  func scheduled() {
    var roster = VMRoster()
    let running = roster.runWithoutSlots()
    var life = MemslotHistory.VM(creator: vmm, kvm: one)
    #expect(roster.setMemoryRegion(scheduled: 0, life) == .init(vm: running, news: .named))
    #expect(roster.setMemoryRegion(scheduled: 0, life) == .init(vm: running))
    life.tids = [other]
    let second = roster.setMemoryRegion(scheduled: 1, life)
    #expect(second == .init(vm: VMIndex(1), news: .appeared, retired: [running]))
    #expect(roster.end(scheduled: 1) == second.vm)
    #expect(roster.end(scheduled: 1) == nil && roster.end(scheduled: 2) == nil)
  }

  @Test("VMs that come and go by the hundred are found by their addresses and creators, the live ones alone")
  func many() {
    var random = SplitMix64(seed: 7)
    var roster = VMRoster()
    for _ in 0..<3000 {
      let kvm = KernelAddress(UInt64(random.below(200)) << 12)
      let thread = ThreadID(Int32(random.below(150)))
      let before = roster.live
      switch random.below(10) {
      case 0: _ = roster.runWithoutSlots()
      case 1: _ = roster.initVM(kvm, VMType(rawValue: 0))
      case 2...3:
        let known = before.last { roster.kvm(of: $0) == kvm }
        #expect(roster.destroyVM(kvm) == known)
      default:
        let known = roster.vm(at: kvm)
        let isContradicted = random.chance(20)
        let nameless = before.last { roster.kvm(of: $0) == nil }
        let older = before.filter { roster.creator(of: $0) == thread && !roster.isKnownToLive($0) }
        let answer = create(kvm, by: thread, &roster, isContradicted: isContradicted)
        guard known == nil || isContradicted else {
          #expect(answer == .init(vm: known!))
          continue
        }
        if let nameless {
          #expect(answer == .init(vm: nameless, news: .named, retired: known.map { [$0] } ?? []))
        } else {
          let retired = (known.map { [$0] } ?? []) + older.filter { $0 != known }
          #expect(answer.news == .appeared && answer.retired == retired)
        }
      }
      #expect(roster.live == (0..<roster.count).map { VMIndex($0) }.filter { !roster.isGone($0) })
      #expect(roster.vm(at: kvm) == roster.live.last { roster.kvm(of: $0) == kvm })
    }
    #expect(roster.live.count > 20 && roster.count > 500)
  }
}
