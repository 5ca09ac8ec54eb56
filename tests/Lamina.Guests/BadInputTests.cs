using System.Diagnostics;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary>Bad input to the program as a process: one clear line, status 125, no waiting, no stack trace.</summary>
public sealed class BadInputTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-bad-input").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_missing_kernel() => Check("does not exist", "run", "--kernel", Path.Combine(_directory, "none"));

    [Fact]
    public void A_directory_for_a_kernel() => Check("is a directory", "run", "--kernel", _directory);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(600)]
    [InlineData(1 << 20)]
    public void Not_a_kernel(int length) => Check("", "run", "--kernel", Write("kernel", new byte[length]));

    [Fact]
    public void A_missing_initrd()
    {
        string kernel = Write("kernel", TinyKernel.Build(TinyKernel.Halt));
        Check("does not exist", "run", "--kernel", kernel, "--initrd", Path.Combine(_directory, "none"));
    }

    [Fact]
    public void An_initrd_that_does_not_fit()
    {
        string kernel = Write("kernel", TinyKernel.Build(TinyKernel.Halt));
        Check("", "run", "--memory", "16M", "--kernel", kernel, "--initrd", Write("initrd", new byte[32 << 20]));
    }

    [Fact]
    public void A_serial_file_that_cannot_be_written()
    {
        string kernel = Write("kernel", TinyKernel.Build(TinyKernel.Halt));
        Check("cannot be written", "run", "--kernel", kernel, "--serial", $"file={_directory}/no/such/directory");
    }

    [Theory]
    [InlineData("/dev/full", 125, "lamina: standard output cannot be written: No space left on device\n")]
    [InlineData(null, 141, "")]
    public void An_output_that_nobody_takes_ends_the_machine(string? file, int status, string error)
    {
        string kernel = Write("kernel", TinyKernel.Build(TinyKernel.Flood));
        string command = $"dotnet exec {LaminaProcess.Program} run --memory 16M --kernel {kernel} </dev/null";
        string script = file == null ? $"{command} | head -c 1; echo ${{PIPESTATUS[0]}}" : $"{command} >{file}; echo $?";
        using Process shell = Process.Start(new ProcessStartInfo("bash", ["-c", script]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string said = shell.StandardError.ReadToEnd();
        Assert.EndsWith($"{status}\n", shell.StandardOutput.ReadToEnd(), StringComparison.Ordinal);
        Assert.Equal(error, said);
    }

    private string Write(string name, byte[] content)
    {
        string path = Path.Combine(_directory, name);
        File.WriteAllBytes(path, content);
        return path;
    }

    private static void Check(string reason, params string[] arguments)
    {
        LaminaResult result = LaminaProcess.Run(null, arguments);
        Assert.Equal("", result.Text);
        Assert.Matches(@"^lamina: [^\n]+\n$", result.Error);
        Assert.Contains(reason, result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("Exception", result.Error, StringComparison.Ordinal);
        Assert.Equal(125, result.Status);
    }
}
