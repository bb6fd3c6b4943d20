import Foundation
import Testing
import UnnamedFiles

/// Profiles, costs and memslots in files: what is wrong with one is told in the same way.
@Suite("Files beside the traces")
struct SideFileTests {
  static let options = ["--profile", "--costs", "--memslots"]

  private func replay(_ option: String, _ path: String) throws -> Tool.Outcome {
    try Tool.run(["replay", Tool.smallRecording, option, path])
  }

  @Test("One that is not there is status 66", arguments: options)
  func missing(option: String) throws {
    let outcome = try replay(option, "/nowhere/file.json")
    #expect(outcome.status == 66 && outcome.errorLines.count == 1 && outcome.output.isEmpty)
    #expect(outcome.errors.contains("/nowhere/file.json"))
  }

  @Test(
    "A misspelt mode of a release is status 66, in a file 65, with what was meant",
    arguments: ["7.3-traditonal", "7.3-TRADITIONAL", "6.14.2-trad"])
  func misspeltMode(name: String) throws {
    let outcome = try replay("--profile", name)
    #expect(outcome.status == 66 && outcome.errorLines.count == 1 && outcome.output.isEmpty)
    let meant = name.split(separator: "-")[0] + "-traditional"
    #expect(outcome.errors.contains("did you mean \(meant)?"), "\(outcome.errors)")
    let file = try UnnamedFile(Array("{\n\"base\": \"\(name)\"}".utf8))
    let based = try replay("--profile", file.path)
    #expect(based.status == 65 && based.errors.contains("line 2: "), "\(based.errors)")
    #expect(based.errors.contains("did you mean \(meant)?"), "\(based.errors)")
  }

  @Test("A release of which nothing is known is told beside the model")
  func unlisted() throws {
    let outcome = try replay("--profile", "9.9")
    #expect(outcome.status == 0)
    #expect(outcome.output.contains("9.9 is not known: modelled as 7.3 (assumed)"), "\(outcome.output)")
  }

  @Test("Standard input is none: it is for recordings", arguments: options)
  func standardInput(option: String) throws {
    let outcome = try replay(option, "-")
    #expect(outcome.status == 64 && outcome.output.isEmpty && outcome.errorLines.count == 1)
    #expect(outcome.errors.contains("standard input, which is for recordings"), "\(outcome.errors)")
  }

  @Test("A directory is none", arguments: options)
  func directory(option: String) throws {
    let outcome = try replay(option, "/tmp")
    #expect(outcome.status == 65 && outcome.errors.contains("is a directory"))
  }

  @Test("One that is no JSON is status 65, with its line", arguments: options)
  func syntax(option: String) throws {
    let file = try UnnamedFile(Array("{\"version\": 1,\n\"x\": 2,,\n}".utf8))
    let outcome = try replay(option, file.path)
    #expect(outcome.status == 65 && outcome.errorLines.count == 1 && outcome.output.isEmpty)
    #expect(outcome.errors.contains("\(file.path): line 2: is not JSON"), "\(outcome.errors)")
  }

  @Test(
    "A wrong value is status 65, with its line and name",
    arguments: [
      ("--profile", "{\"base\": \"7.3-pkvm\",\n\n\"ipaBits\": 99}", "line 3: ipaBits"),
      ("--profile", "{\"base\": \"7.3-pkvm\",\n\"iapBits\": 40}", "line 2: iapBits"),
      ("--profile", "{\n\"base\": \"none\"}", "line 2: starts from \"none\""),
      (
        "--memslots", "{\"version\": 1,\n\"vms\": [{\"slots\": [\n{\"gfn\": 0,\n\"pages\": 0}]}]}",
        "line 4: vms[0].slots[0].pages"
      ),
      ("--memslots", "{\n\"version\": 99}", "line 2: version"),
      (
        "--costs", "{\"schemaVersion\": 1, \"name\": \"x\", \"drivers\": {\n\"hypercall\": {\"ns\": -3}}}",
        "line 2: drivers.hypercall.ns"
      ),
      ("--costs", "{\"schemaVersion\": 1, \"name\": \"x\",\n\"drivers\": 7}", "line 2: drivers"),
    ])
  func value(option: String, text: String, message: String) throws {
    let file = try UnnamedFile(Array(text.utf8))
    let outcome = try replay(option, file.path)
    #expect(outcome.status == 65 && outcome.errorLines.count == 1 && outcome.output.isEmpty)
    #expect(outcome.errors.contains(message), "\(outcome.errors)")
  }
}
