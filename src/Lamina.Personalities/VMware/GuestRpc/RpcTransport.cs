using Lamina.Machine.Devices;
using Lamina.Machine.Personalities;
using Lamina.Machine.Time;

namespace Lamina.Personalities.VMware.GuestRpc;

/// <summary>
/// Messages between programs of the guest's and the host through the backdoor port, four bytes at a time, or through the high-bandwidth port by a string instruction (open-vm-tools, lib/message/message.c). Any program
/// may open channels: there are so many, and the one that was not used for longest gives way. With the personality's lock held.
/// </summary>
internal sealed class RpcTransport(ToolsService tools, IMachineClock clock)
{
    private const int ChannelCount = 8;
    private const int FieldsPerChannel = 8;
    private const uint RequestProtocol = 0x4943_5052;
    private const uint CommandProtocol = 0x4f4c_4354;
    private const uint WithCookie = 1u << 31;
    private const uint Success = 1;
    private const uint HasMessage = 2;

    // Of an answer to a size: the message may go through the high-bandwidth port.
    private const uint HasHighBandwidth = 0x80;
    private const ushort MessageCommand = 0;

    private readonly RpcChannel[] _channels = CreateChannels();
    private ulong _opened;

    internal void Reset()
    {
        foreach (RpcChannel channel in _channels)
        {
            channel.Close();
        }
    }

    internal void Save(IStateWriter state, ushort field)
    {
        int commands = 0;
        for (int i = 0; i < ChannelCount; i++)
        {
            commands = tools.IsListening(_channels[i]) ? i + 1 : commands;
        }

        state.Write(field, (ulong)commands);
        for (int i = 0; i < ChannelCount; i++)
        {
            _channels[i].Save(state, (ushort)(field + ((i + 1) * FieldsPerChannel)));
        }
    }

    /// <summary>Takes the channels back, before the tools' state.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        byte commands = 0;
        bool valid = state.TryTake(field, ChannelCount, ref commands);
        for (int i = 0; i < ChannelCount && valid; i++)
        {
            valid = _channels[i].Restore(state, (ushort)(field + ((i + 1) * FieldsPerChannel)));
        }

        RpcChannel? listening = commands == 0 ? null : _channels[commands - 1];
        valid = valid && (listening is null || (listening.IsOpen && listening.IsForCommands));
        tools.Listen(valid ? listening : null);
        return valid;
    }

    /// <summary>Takes a step. The registers are those of the call.</summary>
    internal void Step(in GuestCall call)
    {
        MessageType type = (MessageType)((uint)call.Registers[GuestCall.Rcx] >> 16);
        uint status = type == MessageType.Open ? Open(call) : Step(call, type);
        call.Set32(GuestCall.Rcx, (status << 16) | (ushort)call.Registers[GuestCall.Rcx]);
    }

    /// <summary>Takes the next byte of a message through the high-bandwidth port. The registers are those of the string instruction: RSI is where the guest reads from.</summary>
    internal void Write(in GuestCall call, byte value)
    {
        RpcChannel? channel = IsMessage(call) ? Find((uint)call.Registers[GuestCall.Rdx] >> 16, (uint)call.Registers[GuestCall.Rbp], (uint)call.Registers[GuestCall.Rdi]) : null;
        if (channel?.TryAdd(value, out bool complete) != true)
        {
            Fail(call);
            return;
        }

        Complete(channel, complete);
    }

    /// <summary>Gives the next byte of one. RDI is where the guest writes to.</summary>
    internal byte Read(in GuestCall call)
    {
        RpcChannel? channel = IsMessage(call) ? Find((uint)call.Registers[GuestCall.Rdx] >> 16, (uint)call.Registers[GuestCall.Rsi], (uint)call.Registers[GuestCall.Rbp]) : null;
        if (channel?.TryFetch(out byte value) != true)
        {
            Fail(call);
            return 0;
        }

        return value;
    }

    private static RpcChannel[] CreateChannels()
    {
        byte[] buffer = new byte[ChannelCount * RpcChannel.BufferLength];
        RpcChannel[] channels = new RpcChannel[ChannelCount];
        for (int i = 0; i < ChannelCount; i++)
        {
            channels[i] = new RpcChannel(buffer, i * RpcChannel.BufferLength);
        }

        return channels;
    }

    private static void SetHigh(in GuestCall call, uint value) => call.Set32(GuestCall.Rdx, (value << 16) | (ushort)call.Registers[GuestCall.Rdx]);

    private uint Open(in GuestCall call)
    {
        uint protocol = (uint)call.Registers[GuestCall.Rbx];
        bool withCookie = (protocol & WithCookie) != 0;
        protocol &= ~WithCookie;
        if (protocol is not (RequestProtocol or CommandProtocol))
        {
            return 0;
        }

        int number = FindPlace();
        RpcChannel channel = _channels[number];
        Close(channel);

        // The cookie keeps programs from mistaking each other's channels for their own.
        ulong cookie = withCookie ? (clock.UnixTime ^ (++_opened << 48)) | 1 : 0;
        channel.Open(protocol == CommandProtocol, cookie);
        channel.UsedAt = clock.Now;
        if (channel.IsForCommands)
        {
            tools.OnOpened(channel);
        }

        SetHigh(call, (uint)number);
        call.Set32(GuestCall.Rsi, (uint)(cookie >> 32));
        call.Set32(GuestCall.Rdi, (uint)cookie);
        return Success;
    }

    private int FindPlace()
    {
        int oldest = 0;
        for (int i = 0; i < ChannelCount; i++)
        {
            if (!_channels[i].IsOpen)
            {
                return i;
            }

            oldest = _channels[i].UsedAt < _channels[oldest].UsedAt ? i : oldest;
        }

        return oldest;
    }

    private void Close(RpcChannel channel)
    {
        if (channel.IsOpen)
        {
            channel.Close();
            tools.OnClosed(channel);
        }
    }

    private uint Step(in GuestCall call, MessageType type)
    {
        uint number = (uint)call.Registers[GuestCall.Rdx] >> 16;
        if (Find(number, (uint)call.Registers[GuestCall.Rsi], (uint)call.Registers[GuestCall.Rdi]) is not { } channel)
        {
            return 0;
        }

        uint value = (uint)call.Registers[GuestCall.Rbx];
        bool complete;
        switch (type)
        {
            case MessageType.SendSize:
                bool fits = channel.TryExpect(value);
                complete = fits && value == 0;
                Complete(channel, complete);
                return fits ? Success | HasHighBandwidth : 0;
            case MessageType.SendPayload:
                bool expected = channel.TryAdd(value, out complete);
                Complete(channel, complete);
                return expected ? Success : 0;
            case MessageType.ReceiveSize:
                if (channel.OutgoingLength == 0 && channel.IsForCommands)
                {
                    channel.Put(tools.WriteCommand(channel));
                }

                call.Set32(GuestCall.Rbx, (uint)channel.OutgoingLength);
                SetHigh(call, (uint)MessageType.SendSize);
                return channel.OutgoingLength == 0 ? Success : Success | HasMessage | HasHighBandwidth;
            case MessageType.ReceivePayload:
                call.Set32(GuestCall.Rbx, channel.Fetch());
                SetHigh(call, (uint)MessageType.SendPayload);
                return Success;
            case MessageType.ReceiveStatus:
                channel.Put(0);
                return Success;
            case MessageType.Close:
                Close(channel);
                return Success;
            default:
                return 0;
        }
    }

    // Null if there is no such channel, or it is another program's.
    private RpcChannel? Find(uint number, uint cookieHigh, uint cookieLow)
    {
        if (number >= ChannelCount || !_channels[number].IsOpen || (_channels[number].Cookie != 0 && _channels[number].Cookie != (((ulong)cookieHigh << 32) | cookieLow)))
        {
            return null;
        }

        _channels[number].UsedAt = clock.Now;
        return _channels[number];
    }

    private static bool IsMessage(in GuestCall call) => (ushort)call.Registers[GuestCall.Rbx] == MessageCommand;

    // EBX says in its upper half that it went well, which the guest has written there itself.
    private static void Fail(in GuestCall call) => call.Set32(GuestCall.Rbx, (ushort)call.Registers[GuestCall.Rbx]);

    private void Complete(RpcChannel channel, bool complete)
    {
        if (complete && channel.IsForCommands)
        {
            tools.OnReply(channel);
        }
        else if (complete)
        {
            channel.Put(tools.Execute(channel.Incoming, channel.Room));
        }
    }
}
