import ForeignStage2
import Foundation
import KVMTypes
import Stage2Model
import Testing
import ToyBackend

/// What is looked at before a shared object is believed.
@Suite("Backend library")
struct BackendLibraryTests {
  private func problem(_ path: String) -> BackendProblem? {
    do {
      _ = try BackendLibrary(path: path)
      return nil
    } catch {
      return error
    }
  }

  @Test("A backend tells what it is")
  func toy() throws {
    let path = try ToyBackend.build()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let library = try BackendLibrary(path: path)
    #expect(library.name == "Toy (as Linux 7.3.4)" && library.release?.name == "7.3")
    #expect(library.restated == ["everything: it is a toy"] && library.pageSize == .size4K)
    #expect(library.has(isPKVM: true) && !library.has(isPKVM: false))
    let profile = Profile(path: .traditional, era: .v7_3)
    #expect(throws: BackendProblem.noPath(path: path, isPKVM: false)) {
      try library.check(ForeignShape(profile, isProtected: false))
    }
    var large = Profile(path: .pkvm, era: .v7_3)
    large.pageSize = .size64K
    #expect(throws: BackendProblem.otherPageSize(path: path, has: 4096, wanted: 65536)) {
      try library.check(ForeignShape(large, isProtected: false))
    }
  }

  @Test("What is none is one line that names the file")
  func none() throws {
    let missing = "/nonexistent/backend.so"
    guard case .notLoaded = problem(missing) else {
      Issue.record("a file that is not there was loaded")
      return
    }
    #expect(problem(missing)?.description.hasPrefix("\(missing): cannot be loaded: ") == true)
    let other = try ToyBackend.build("TOY_ABI=2")
    defer { try? FileManager.default.removeItem(atPath: other) }
    #expect(problem(other) == .unknownVersion(path: other))
    let empty = try ToyBackend.build("TOY_PATHS=0")
    defer { try? FileManager.default.removeItem(atPath: empty) }
    #expect(problem(empty) == .malformed(path: empty, what: "it offers neither path of stage 2"))
    #expect(problem("libz.so.1")?.description.contains("libz.so.1") == true)
  }

  @Test("A VM that is refused is one whose operations fail, with the backend's reason")
  func refusal() throws {
    let path = try ToyBackend.build("TOY_REFUSES=1")
    defer { try? FileManager.default.removeItem(atPath: path) }
    let library = try BackendLibrary(path: path)
    let shape = ForeignShape(Profile(path: .pkvm, era: .v7_3), isProtected: false)
    var vm = ForeignStage2(library, shape, frameOffset: 0)
    #expect(vm.map(IPA(0), size: 4096, pfn: nil, prot: .rw, vcpu: VCPUIndex(0)).rawValue == -5)
    #expect(library.refusal == .refusedVM(path: path, reason: "it does not want to"))
  }
}
