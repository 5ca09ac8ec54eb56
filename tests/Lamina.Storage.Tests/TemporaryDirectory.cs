using System.Diagnostics;

namespace Lamina.Storage.Tests;

/// <summary>A directory that goes with the test.</summary>
internal sealed class TemporaryDirectory : IDisposable
{
    private readonly string _path = Directory.CreateTempSubdirectory("lamina-storage").FullName;

    public string this[string name] => Path.Combine(_path, name);

    public string Write(string name, byte[] content)
    {
        File.WriteAllBytes(this[name], content);
        return this[name];
    }

    // The runtime cannot remove files whose names are not text.
    public void Dispose() => Process.Start("rm", ["-rf", "--", _path]).WaitForExit();
}
