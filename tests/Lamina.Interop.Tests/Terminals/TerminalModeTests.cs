using System.Runtime.InteropServices;
using Lamina.Interop.Terminals;

namespace Lamina.Interop.Tests.Terminals;

public sealed unsafe partial class TerminalModeTests
{
    private const int ReadWriteNoControl = 0x2 | 0x100;

    [Fact]
    public void TheStructureHasTheLibrarysSize() => Assert.Equal(60, sizeof(TerminalAttributes));

    [Fact]
    public void WhatIsNoTerminalIsToldApart()
    {
        using FileStream file = File.OpenRead("/dev/null");
        int descriptor = (int)file.SafeFileHandle.DangerousGetHandle();
        Assert.False(TerminalMode.IsTerminal(descriptor));
        Assert.Null(TerminalMode.TryEnterRaw(descriptor));
        Assert.False(TerminalMode.TryGetSize(descriptor, out _));
    }

    [Fact]
    public void RawModeIsEnteredAndTheOldModeComesBack()
    {
        int master = OpenMaster(ReadWriteNoControl);
        Assert.True(master >= 0);
        Assert.Equal(0, Unlock(master));
        int terminal = NativeMethodsOpen(Marshal.PtrToStringUTF8(GetName(master))!, ReadWriteNoControl);
        Assert.True(TerminalMode.IsTerminal(terminal));
        TerminalAttributes before = Get(terminal);
        const uint EchoAndLines = 0x8 | 0x2;
        const uint OutputProcessing = 1;
        Assert.Equal(EchoAndLines, before.Local & EchoAndLines);
        using (TerminalMode mode = TerminalMode.TryEnterRaw(terminal)!)
        {
            Assert.Equal(0u, Get(terminal).Local & EchoAndLines);
            Assert.Equal(0u, Get(terminal).Output & OutputProcessing);
            mode.Restore();
            Assert.Equal(before.Local, Get(terminal).Local);
        }

        using (TerminalMode.TryEnterRaw(terminal, translateOutput: true))
        {
            Assert.Equal(before.Output, Get(terminal).Output);
        }

        Assert.Equal(before.Local, Get(terminal).Local);
        ushort* size = stackalloc ushort[4] { 33, 101, 0, 0 };
        Assert.Equal(0, NativeMethods.Control(terminal, 0x5414, size));
        Assert.True(TerminalMode.TryGetSize(terminal, out TerminalSize found));
        Assert.Equal(new TerminalSize(101, 33), found);
        _ = NativeMethods.Close(terminal);
        _ = NativeMethods.Close(master);
    }

    private static TerminalAttributes Get(int terminal)
    {
        TerminalAttributes attributes;
        Assert.Equal(0, NativeMethods.GetTerminal(terminal, &attributes));
        return attributes;
    }

    [LibraryImport("libc", EntryPoint = "posix_openpt")]
    private static partial int OpenMaster(int flags);

    [LibraryImport("libc", EntryPoint = "unlockpt")]
    private static partial int Unlock(int master);

    [LibraryImport("libc", EntryPoint = "ptsname")]
    private static partial nint GetName(int master);

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int NativeMethodsOpen(string path, int flags);
}
