using System.Text;
using Lamina.Machine.Personalities;
using Lamina.Vmm.Tests.Fakes;

namespace Lamina.Vmm.Tests;

/// <summary>A guest whose hypervisor has a service for the time of day is told it when the machine goes on after a pause, in which it went on.</summary>
public sealed class PauseTests
{
    private const uint Commands = 0x4f4c_4354;
    private const uint Magic = 0x564d_5868;
    private const ushort Port = 0x5658;
    private readonly ulong[] _registers = new ulong[16];
    private IPersonality? _personality;

    [Fact]
    public void ToolsOfVMwareAreToSetTheTimeAfterAPause()
    {
        FakeAccelerator accelerator = new(static p => p.Spin());
        using VirtualMachine machine = new(TestMachine.Settings(accelerator) with { Personality = PersonalityKind.VMware });
        _personality = accelerator.Settings!.Personality;
        machine.Start();
        Step(0, Commands);
        Assert.Equal("reset", Fetch());
        Send("OK ATR toolbox");
        Assert.Equal("Capabilities_Register", Fetch());
        Send("OK ");
        Assert.Equal("Set_Option broadcastIP 1", Fetch());
        Send("OK ");
        machine.Pause();
        machine.Resume();
        Assert.Equal("Time_Synchronize 1", Fetch());
        machine.Quit();
        machine.WaitForEndSoon();
    }

    private string Fetch()
    {
        Step(3, 0);
        int length = (int)_registers[GuestCall.Rbx];
        StringBuilder text = new();
        while (text.Length < length)
        {
            Step(4, 1);
            text.Append(Encoding.ASCII.GetString(BitConverter.GetBytes((uint)_registers[GuestCall.Rbx])));
        }

        Step(5, 1);
        return text.ToString(0, length);
    }

    private void Send(string text)
    {
        Step(1, (uint)text.Length);
        foreach (byte[] word in Encoding.ASCII.GetBytes(text).Chunk(4))
        {
            byte[] whole = new byte[4];
            word.CopyTo(whole, 0);
            Step(2, BitConverter.ToUInt32(whole));
        }
    }

    // A step of a message on the first channel, without a cookie (open-vm-tools, lib/message/message.c).
    private void Step(uint type, uint value)
    {
        Array.Clear(_registers);
        _registers[GuestCall.Rax] = Magic;
        _registers[GuestCall.Rbx] = value;
        _registers[GuestCall.Rcx] = (type << 16) | 30;
        _registers[GuestCall.Rdx] = Port;
        _personality!.ReadPort(new GuestCall(0, _registers, 3, is64Bit: true), Port, new byte[4]);
        Assert.Equal(1u, (uint)(_registers[GuestCall.Rcx] >> 16) & 1);
    }
}
