using Lamina.Cli.Arguments;

namespace Lamina.Cli.Tests.Arguments;

/// <summary>Commands that start a machine are read without the others; what is not clear is left to the tree of all commands.</summary>
public sealed class MachineCommandsTests
{
    [Theory]
    [InlineData("")]
    [InlineData("ps")]
    [InlineData("--version")]
    [InlineData("--help run")]
    [InlineData("run --help")]
    [InlineData("run -h")]
    [InlineData("run -?")]
    [InlineData("run /?")]
    [InlineData("run debian /h")]
    [InlineData("run --krenel x")]
    [InlineData("run debian more")]
    [InlineData("run --memory")]
    [InlineData("restore")]
    [InlineData("restore a b")]
    [InlineData("restore --help")]
    public void What_is_not_clear_is_left(string arguments) => Assert.Null(MachineCommands.TryRead(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries), null));

    [Fact]
    public void Options_are_read()
    {
        RunOptions run = MachineCommands.TryRead(["run", "--kernel=k", "-m", "64M", "-v", "--append", "--help"], null)!;
        Assert.Equal(("k", 64UL << 20, true, "--help"), (run.Kernel, run.MemorySize, run.Verbose, run.Append));
        RunOptions command = MachineCommands.TryRead(["run", "debian"], ["sh", "-c", "true"])!;
        Assert.Equal(("debian", 3), (command.Image, command.Command.Count));
        RunOptions restore = MachineCommands.TryRead(["restore", "dir", "--allow-host-paths", "--publish", "saved"], null)!;
        Assert.Equal(("dir", true, "saved"), (restore.Snapshot, restore.AllowsHostPaths, Assert.Single(restore.RestorePublish)));
        Assert.False(MachineCommands.TryRead(["restore", "dir"], null)!.AllowsHostPaths);
    }

    [Fact]
    public void A_command_belongs_to_run_alone() => Assert.Null(MachineCommands.TryRead(["restore", "dir"], ["true"]));
}
