using System.Buffers.Binary;
using Iced.Intel;
using Lamina.Vmm.Agent;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Cli.Images.Agent;

/// <summary>
/// The agent: a program in the guest that runs commands for the host (docs/adr/0018-guest-agent.md). A static ELF file of two kilobytes, so that every guest of this architecture
/// can run it, whatever is installed. Each connection is a session of its own process; each stream is copied by a process that does nothing else, so that none waits for another.
/// </summary>
internal static partial class AgentProgram
{
    private const int SocketFamily = 40;
    private const int StreamSocket = 1;
    private const int CloseOnExecute = 0x8_0000;
    private const int ReadWrite = 2;
    private const int HostAddress = 2;
    private const int AddressLength = 16;
    private const int AddressOffset = 8;
    private const int Waiting = 64;
    private const int RetryMilliseconds = 100;
    private const int ChildSignal = 17;
    private const int SignalSetLength = 8;
    private const uint AnyAddress = uint.MaxValue;

    /// <summary>The file.</summary>
    public static byte[] Create()
    {
        GuestCode code = new();
        Label session = code.NewLabel();
        Label failed = code.NewLabel();
        code.Begin((long)GuestProgramFile.VariablesAddress);
        WriteStandardStreams(code);
        WriteListener(code, session, failed);
        WriteSession(code, session, failed);
        code.Mark(failed);
        code.Call(LinuxCall.Exit, 1);
        return GuestProgramFile.Create(code.Finish(GuestProgramFile.CodeAddress), (int)Variable.End);
    }

    // So that what is opened later is not taken for one of them.
    private static void WriteStandardStreams(GuestCode code)
    {
        Label done = code.NewLabel();
        Label path = code.Constant("/dev/null\0"u8);
        Label again = code.Here();
        code.CallOr(done, LinuxCall.Open, path, ReadWrite);
        code.Assembler.cmp(eax, 2);
        code.Assembler.jle(again);
        code.Call(LinuxCall.Close, Argument.Result);
        code.Mark(done);
    }

    private static void WriteListener(GuestCode code, Label session, Label failed)
    {
        Label wait = code.NewLabel();
        Label close = code.NewLabel();
        code.CallOr(failed, LinuxCall.Socket, SocketFamily, StreamSocket | CloseOnExecute, 0);
        code.Keep(Variable.Listener);
        code.CallOr(failed, LinuxCall.Bind, Variable.Listener, code.Constant(CreateAddress(AgentProtocol.Port)), AddressLength);
        code.CallOr(failed, LinuxCall.Listen, Variable.Listener, Waiting);

        // Sessions that have ended leave nothing to be waited for.
        code.Call(LinuxCall.SetSignalAction, ChildSignal, code.Constant([1, .. new byte[31]]), 0, SignalSetLength);
        Label accept = code.Here();
        WriteAccept(code, wait);
        code.Keep(Variable.Connection);
        code.GoUnlessEqual(Variable.Peer, HostAddress, close, AddressOffset);
        code.CallOr(close, LinuxCall.Fork);
        code.Assembler.test(eax, eax);
        code.Assembler.je(session);
        code.Mark(close);
        code.Call(LinuxCall.Close, Variable.Connection);
        code.Go(accept);

        // Out of descriptors or memory: that passes.
        code.Mark(wait);
        code.Call(LinuxCall.Poll, 0, 0, RetryMilliseconds);
        code.Go(accept);
    }

    private static void WriteAccept(GuestCode code, Label failed)
    {
        code.Set(Variable.AddressLength, AddressLength);
        code.CallOr(failed, LinuxCall.Accept, Variable.Listener, Argument.AddressOf(Variable.Peer), Argument.AddressOf(Variable.AddressLength), CloseOnExecute);
    }

    // struct sockaddr_vm.
    private static byte[] CreateAddress(uint port)
    {
        byte[] address = new byte[AddressLength];
        BinaryPrimitives.WriteUInt16LittleEndian(address, SocketFamily);
        BinaryPrimitives.WriteUInt32LittleEndian(address.AsSpan(4), port);
        BinaryPrimitives.WriteUInt32LittleEndian(address.AsSpan(AddressOffset), AnyAddress);
        return address;
    }
}
