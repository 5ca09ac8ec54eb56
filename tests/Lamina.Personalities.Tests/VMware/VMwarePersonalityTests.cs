using Lamina.Machine.Personalities;
using Lamina.Personalities.Tests.Fakes;
using Lamina.Personalities.VMware;

namespace Lamina.Personalities.Tests.VMware;

/// <summary>VMware's leaves and its backdoor port.</summary>
public sealed class VMwarePersonalityTests : IDisposable
{
    private readonly TestHost _host = new();
    private readonly ulong[] _registers = new ulong[16];

    public void Dispose() => _host.Dispose();

    [Fact]
    public void TheLeavesHaveTheSignatureAndTheFrequencies()
    {
        VMwarePersonality personality = new(_host.CreateSettings(tscFrequency: 2_100_000_000));
        Assert.Equal((0x4000_0010u, 0x6177_4d56u, 0x4d56_6572u, 0x6572_6177u), (personality.Leaves[0].Eax, personality.Leaves[0].Ebx, personality.Leaves[0].Ecx, personality.Leaves[0].Edx));
        Assert.Equal((2_100_000u, 1_000_000u), (personality.Leaves[1].Eax, personality.Leaves[1].Ebx));
    }

    [Fact]
    public void TheBackdoorAnswers()
    {
        Assert.Equal(6u, Ask(10));
        Assert.Equal((0x564d_5868UL, 2UL), (_registers[GuestCall.Rbx], _registers[GuestCall.Rcx]));
        Assert.Equal(2_100_000_000u, Ask(45));
        Assert.Equal((0UL, 1_000_000_000UL), (_registers[GuestCall.Rbx], _registers[GuestCall.Rcx]));
        Assert.Equal(4u, Ask(20));
        Assert.Equal(0x564d_5868u, Ask(46));
        Assert.Equal(1_700_000_000UL, _registers[GuestCall.Rdx]);
        Assert.Equal(8u, Ask(68));

        // There is neither a screen nor a pointer.
        Assert.Equal((0u, 0u), (Ask(15), Ask(40)));
    }

    [Fact]
    public void WithoutTheMagicOrACommandThereIsNothing()
    {
        Assert.Equal(uint.MaxValue, Ask(10, magic: 0));
        Assert.Equal(uint.MaxValue, Ask(999));
        Assert.Equal(uint.MaxValue, Ask(91));
    }

    private uint Ask(ulong command, uint magic = 0x564d_5868)
    {
        VMwarePersonality personality = new(_host.CreateSettings(tscFrequency: 2_100_000_000));
        Array.Clear(_registers);
        (_registers[GuestCall.Rax], _registers[GuestCall.Rcx], _registers[GuestCall.Rdx]) = (magic, command, personality.FirstPort);
        byte[] answer = new byte[4];
        personality.ReadPort(new GuestCall(0, _registers, 3, is64Bit: true), personality.FirstPort, answer);
        return BitConverter.ToUInt32(answer);
    }
}
