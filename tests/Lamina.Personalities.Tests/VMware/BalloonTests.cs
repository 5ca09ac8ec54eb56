using Lamina.Machine.Backends;
using Lamina.Machine.Personalities;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.VMware;

namespace Lamina.Personalities.Tests.VMware;

/// <summary>The balloon's commands as Linux's driver gives them, and as no driver would.</summary>
public sealed class BalloonTests : IDisposable
{
    private const uint Start = 0;
    private const uint GetTarget = 1;
    private const uint Lock = 2;
    private const uint Unlock = 3;
    private const uint BatchedLock = 6;
    private const uint BatchedUnlock = 7;
    private const uint Success = 0;
    private const uint Refused = uint.MaxValue;
    private const ulong Page = 4096;
    private const ulong First = GuestRam.Start / Page;
    private readonly TestHost _host = new();
    private readonly Reclaimer _reclaimer = new();
    private readonly VMwarePersonality _vmware;

    public BalloonTests()
    {
        _vmware = new VMwarePersonality(_host.CreateSettings(), _reclaimer);
        _vmware.Start();
    }

    public void Dispose() => _host.Dispose();

    [Fact]
    public void PagesAreGivenUpToTheTargetAndTakenBack()
    {
        Assert.Equal(0x0300_0000u, Ask(Start, 0x3e).Status);
        Assert.Equal(0x26u, _capabilities);
        _vmware.Balloon.Target = 2 * Page;
        Assert.Equal((Success, 2UL), Ask(GetTarget, 1000));
        Assert.Equal((Success, 2UL), Ask(Lock, First));
        Assert.Equal(3u, Ask(Lock, First).Status);
        Assert.Equal(Success, Ask(Lock, First + 1).Status);
        Assert.Equal(6u, Ask(Lock, First + 2).Status);
        Assert.Equal(2 * Page, _vmware.Balloon.Size);
        Assert.Equal([GuestRam.Start, GuestRam.Start + Page], _reclaimer.Pages);
        _vmware.Balloon.Target = 0;
        Assert.Equal((Success, 0UL), Ask(Unlock, First));
        Assert.Equal(4u, Ask(Unlock, First).Status);
        Assert.Equal(Page, _vmware.Balloon.Size);

        // Whoever starts again has given nothing.
        Ask(Start, 2);
        Assert.Equal(0UL, _vmware.Balloon.Size);
        Assert.Equal(1u, Ask(BatchedLock, First, 1).Status);
    }

    [Fact]
    public void ManyPagesAtOnceHaveAStatusEach()
    {
        Ask(Start, 0x3e);
        _vmware.Balloon.Target = 100 * Page;
        ulong[] pages = [First + 1, First + 1, First, ulong.MaxValue / Page, First + 2];
        for (int i = 0; i < pages.Length; i++)
        {
            _host.Ram.Set(GuestRam.Start + ((uint)i * 8), pages[i] * Page);
        }

        Assert.Equal((Success, 100UL), Ask(BatchedLock, First, (ulong)pages.Length));
        Assert.Equal([0UL, 3, 2, 2, 0], Enumerable.Range(0, pages.Length).Select(i => _host.Ram.Get<ulong>(GuestRam.Start + ((uint)i * 8)) & 0x1f));
        Assert.Equal(2 * Page, _vmware.Balloon.Size);
        Assert.Equal(Success, Ask(BatchedUnlock, First, 1).Status);
        Assert.Equal(Page, _vmware.Balloon.Size);
        Assert.Equal(2u, Ask(BatchedLock, First, 0).Status);
        Assert.Equal(2u, Ask(BatchedLock, First, 513).Status);
        Assert.Equal(2u, Ask(BatchedLock, ulong.MaxValue, 1).Status);
        Assert.Equal(2u, Ask(BatchedLock, 0xdead_0000, 1).Status);
    }

    [Fact]
    public void ProgramsAndThoseThatHaveNotStartedAreRefused()
    {
        Assert.Equal(7u, Ask(Lock, First).Status);
        Ask(Start, 0x3e);
        _vmware.Balloon.Target = Page;
        Assert.Equal(Refused, Ask(Lock, First, privilege: 3).Status);
        Assert.Equal(1u, Ask(99, First).Status);
        Assert.Equal(2u, Ask(Lock, ulong.MaxValue).Status);
        Assert.Equal(2u, Ask(Lock, 0).Status);
        Assert.Equal(0UL, _vmware.Balloon.Size);
        Assert.Empty(_reclaimer.Pages);
    }

    private uint _capabilities;

    private (uint Status, ulong Target) Ask(uint command, ulong first, ulong second = 0, int privilege = 0)
    {
        ulong[] registers = new ulong[16];
        registers[GuestCall.Rax] = 0x456c_6d6f;
        registers[GuestCall.Rcx] = command;
        registers[GuestCall.Rbx] = first;
        registers[GuestCall.Rsi] = second;
        byte[] answer = new byte[4];
        _vmware.ReadPort(new GuestCall(0, registers, privilege, is64Bit: true), 0x5670, answer);
        _capabilities = (uint)registers[GuestCall.Rcx];
        return (BitConverter.ToUInt32(answer), registers[GuestCall.Rbx]);
    }

    private sealed class Reclaimer : IMemoryReclaimer
    {
        public List<ulong> Pages { get; } = [];

        public void Reclaim(GuestBuffer pages) => Pages.Add(pages.Address);
    }
}
