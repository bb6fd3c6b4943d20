import Foundation
import PackagePlugin

/// Writes the files of a target's folder `Schemas` into a source file, so that the program has them wherever it is copied to.
@main
struct EmbeddedSchemas: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
    let folder = target.directoryURL.appending(path: "Schemas")
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .filter { $0.lastPathComponent.hasSuffix(".schema.json") }
      .sorted { $0.lastPathComponent < $1.lastPathComponent }
    let output = context.pluginWorkDirectoryURL.appending(path: "EmbeddedSchemas.swift")
    return [
      .buildCommand(
        displayName: "Schemas of \(target.name)", executable: URL(filePath: "/bin/sh"),
        arguments: ["-c", Self.script, "sh", output.path()] + files.map { $0.path() },
        inputFiles: files, outputFiles: [output])
    ]
  }

  /// A raw string takes a schema as it is: `"""#` stands in none, nor does `\#`.
  private static let script = ##"""
    output=$1
    shift
    {
      printf '/// The schemas by name, as their files have them.\nlet embeddedSchemas: [(name: String, text: String)] = [\n'
      for file; do
        name=${file##*/}
        printf '  (\n    "%s",\n    #"""\n' "${name%.schema.json}"
        cat "$file"
        printf '\n"""#\n  ),\n'
      done
      printf ']\n'
    } > "$output"
    """##
}
