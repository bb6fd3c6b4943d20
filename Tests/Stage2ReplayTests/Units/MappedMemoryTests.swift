import KVMTrace
import KVMTypes
import Stage2Model
import Testing

@testable import Stage2Replay

/// A marker without mapping objects while a guest has memory: the host has no pKVM.
@Suite("Mapped memory without mapping objects")
struct MappedMemoryTests {
  private static let noMappings = "pkvm-replay:memory point=mapped mappings=0"

  /// What the trace says of the path: a VM with a slot, `events`, and the vCPU running on after it all.
  private func profile(
    createsVM: Bool = true, slotFlags: UInt64 = 0, runsOn: Bool = true, isCongruent: Bool = true,
    _ events: (Scenario) -> Void
  ) throws -> ReplayProfile {
    let story = Scenario(formats: Scenario.markedFormats)
    story.request = ProfileRequest()
    story.print("pkvm-replay:memory point=begin mappings=0")
    if createsVM { story.createVM() }
    story.createSlot(hva: isCongruent ? story.congruentHVA : story.crookedHVA, flags: slotFlags)
    story.enter(.vcpu0)
    events(story)
    if runsOn { story.exit(.vcpu0, exceptionClass: 1) }
    return try story.replay().result.profile
  }

  private func marked(_ story: Scenario) { story.print(Self.noMappings) }

  @Test("A page that a vCPU faulted in has a mapping object under pKVM, so a host without any has none")
  func lacksMappings() throws {
    let profile = try profile { story in
      story.handle(.vcpu0, story.memory, level: 1)
      marked(story)
    }
    #expect(!profile.isPKVM && profile.basis[.path] == .derived)
  }

  @Test("Pages that went, and faults on devices, leave the others what they are")
  func otherPages() throws {
    let profile = try profile { story in
      story.handle(.vcpu0, story.memory, level: 1)
      story.unmap(.kswapd, story.congruentHVA)
      story.fault(.vcpu0, 0x9000, level: 1)
      story.mmio(.vcpu0, 0x9000)
      story.enter(.vcpu0)
      story.handle(.vcpu0, story.memory, level: 3)
      story.unmap(.kswapd, story.congruentHVA + story.block)
      marked(story)
    }
    #expect(!profile.isPKVM && profile.basis[.path] == .derived)
  }

  @Test("Other slots that move, and the neighbours of a page that no block maps, take nothing away")
  func otherMemory() throws {
    let profile = try profile(isCongruent: false) { story in
      story.createSlot(id: 1, ipa: 0x8000_0000, hva: 0xee00_0000_0000)
      story.handle(.vcpu0, story.memory, level: 1)
      story.unmap(.kswapd, story.crookedHVA + story.page)
      story.moveSlot(id: 1, from: 0x8000_0000, to: 0x9000_0000, hva: 0xee00_0000_0000)
      story.deleteSlot(ipa: 0x9000_0000)
      marked(story)
    }
    #expect(!profile.isPKVM && profile.basis[.path] == .derived)
  }

  @Test("Whatever may have taken the page away leaves the path open")
  func takenAway() throws {
    let takes: [(Scenario) -> Void] = [
      { $0.unmap(.kswapd, $0.congruentHVA) },
      { $0.unmap(.kswapd, $0.congruentHVA + 9 * $0.page) },
      { $0.deleteSlot() },
      { $0.moveSlot(to: $0.memory + 0x1000_0000) },
      { $0.setFlags(1) },
      { $0.destroyVM() },
      { $0.createVM(.kswapd, kvm: 0xeeee_0000) },
      { story in
        story.loseEvents(cpu: 2)
        story.age(.kswapd, 0x1000)
      },
    ]
    for (index, take) in takes.enumerated() {
      let profile = try profile { story in
        story.handle(.vcpu0, story.memory, level: 1)
        take(story)
        marked(story)
      }
      #expect(profile.isPKVM && profile.basis[.path] == .assumed, "\(index)")
    }
  }

  @Test("Faults that need not have mapped anything leave the path open")
  func nothingMapped() throws {
    let faults: [(Scenario) -> Void] = [
      { _ in },
      { $0.fault(.vcpu0, $0.memory, level: 1) },
      { $0.handle(.vcpu0, $0.memory + 0x1000_0000, level: 1) },
      { $0.handle(.vcpu0, $0.memory, level: 1, .stage1Walk) },
      { $0.handle(.vcpu0, $0.memory, .permission, .write) },
      { story in
        story.fault(.vcpu0, story.memory, level: 1)
        story.exitToVMM(.vcpu0, errno: -14)
        story.enter(.vcpu0)
      },
      { story in
        story.fault(.vcpu0, story.memory, level: 1)
        story.mmio(.vcpu0, story.memory)
        story.enter(.vcpu0)
      },
      { story in
        story.fault(.vcpu0, story.memory, level: 1)
        story.unmap(.kswapd, story.congruentHVA)
        story.enter(.vcpu0)
      },
      { story in
        story.createVM(.kswapd, kvm: 0xeeee_0000)
        story.createSlot(.kswapd, kvm: 0xeeee_0000)
        story.handle(.vcpu0, story.memory, level: 1)
      },
    ]
    for (index, fault) in faults.enumerated() {
      let profile = try profile { story in
        fault(story)
        marked(story)
      }
      #expect(profile.isPKVM && profile.basis[.path] == .assumed, "\(index)")
    }
  }

  @Test("A slot that KVM does not map on every fault, and a VM that no probe told of, leave the path open")
  func otherSlots() throws {
    for (createsVM, flags) in [(true, UInt64(2)), (true, 4), (false, 0)] {
      let profile = try profile(createsVM: createsVM, slotFlags: flags) { story in
        story.handle(.vcpu0, story.memory, level: 1)
        marked(story)
      }
      #expect(profile.isPKVM && profile.basis[.path] == .assumed, "\(createsVM) \(flags)")
    }
  }

  @Test("A VM that may be on its way out, and markers that do not count mapping objects, leave the path open")
  func noCount() throws {
    let ended = try profile(runsOn: false) { story in
      story.handle(.vcpu0, story.memory, level: 1)
      marked(story)
    }
    #expect(ended.isPKVM && ended.basis[.path] == .assumed)
    let uncounted = try profile { story in
      story.handle(.vcpu0, story.memory, level: 1)
      story.print("pkvm-replay:memory point=mapped sec_page_tables_kb=16")
    }
    #expect(uncounted.isPKVM && uncounted.basis[.path] == .assumed)
  }

  @Test("A fault that waits for the VM's lock to write tells more than a count of nothing")
  func lockWaits() throws {
    let profile = try profile { story in
      story.fault(.vcpu0, story.memory, level: 1)
      story.contend(.vcpu0, lock: 0xffff_0000, flags: 4)
      story.enter(.vcpu0)
      marked(story)
    }
    #expect(profile.isPKVM && profile.basis[.path] == .derived)
  }

  @Test(
    "Hosts that have pKVM never look as if they had none",
    arguments: [
      "pkvm-nvhe-7.3.4-hugetlb-guest.dat", "pkvm-nvhe-7.3.4-balloon-guest.dat",
      "pkvm-nvhe-7.3.4-ksm-guest.dat",
    ])
  func pkvmHosts(name: String) throws {
    let trace = try Recordings.trace(name)
    let survey = SurveyedTrace(trace, stated: nil, options: ReplayOptions()).survey
    #expect(survey.markers.sawMappings && !survey.markers.mapped.lacksMappings)
  }
}
