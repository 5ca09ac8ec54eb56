using Lamina.Interop.Processes;

namespace Lamina.Interop.Tests.Processes;

/// <summary>Programs of the host: how they end, and what they said.</summary>
public sealed class HostProgramTests
{
    [Fact]
    public void ItsStatusAndWhatItSaidAreKept()
    {
        using HostProgram program = HostProgram.Start("sh", ["-c", "echo lost; echo said >&2; read line || echo \"$1\" >&2; exit 7", "sh", "nothing to read"]);
        Assert.Equal(7, program.WaitForExit());
        Assert.Equal(7, program.FindStatus());
        Assert.Equal("said\nnothing to read\n", program.ReadMessages());
        Assert.Equal("", program.ReadMessages());
    }

    [Fact]
    public void OfMuchTheLastIsKept()
    {
        using HostProgram program = HostProgram.Start("sh", ["-c", "i=0; while [ $i -lt 900 ]; do echo line $i; i=$((i+1)); done >&2"]);
        Assert.Equal(0, program.WaitForExit());
        string said = program.ReadMessages();
        Assert.EndsWith("line 898\nline 899\n", said, StringComparison.Ordinal);
        Assert.InRange(said.Length, 2048, 4096);
    }

    [Fact]
    public void ASignalThatThisProcessIgnoresEndsIt()
    {
        using HostProgram program = HostProgram.Start("sh", ["-c", "kill -PIPE $$; exit 1"]);
        Assert.Equal(128 + 13, program.WaitForExit());
    }

    [Fact]
    public void ItEndsWithItsOwner()
    {
        HostProgram program = HostProgram.Start("sleep", ["600"]);
        Assert.Null(program.FindStatus());
        program.Dispose();
        Assert.Equal(128 + 9, program.FindStatus());
    }

    [Fact]
    public void OneThatIsNotThereIsNamed()
    {
        SystemCallException e = Assert.Throws<SystemCallException>(() => HostProgram.Start("no-such-program", []));
        Assert.Contains("no-such-program", e.Message, StringComparison.Ordinal);
        Assert.Equal(ErrorNumber.NoEntry, e.ErrorNumber);
    }
}
