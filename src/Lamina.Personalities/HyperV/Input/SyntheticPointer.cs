using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Machine.Input;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Input;

/// <summary>Hyper-V's mouse, protocol 2.0 (Linux, drivers/hid/hid-hyperv.c): a HID device with three buttons that is told where it is.</summary>
public sealed class SyntheticPointer : SyntheticDevice, IPointer
{
    private const uint ProtocolRequest = 0;
    private const uint ProtocolResponse = 1;
    private const uint InitialDeviceInfo = 2;
    private const uint InitialDeviceInfoAck = 3;
    private const uint InputReport = 4;
    private const uint Version = 2 << 16;
    private const int Header = PipeHeader + 8;
    private const int DeviceInfoLength = 32;
    private const ushort Vendor = 0x045e;
    private const ushort Product = 0x0621;
    private const int ReportLength = 5;
    private const int LongestMessage = 128;

    private bool _accepted;
    private bool _acknowledged;

    /// <summary>Makes it and puts it on the bus.</summary>
    public SyntheticPointer(VmBusController bus)
        : base(bus, "hvmouse", new Guid("cfa8b69e-5b4a-4cc0-b98b-8ba1a1f3f95a"), new Guid("58f75a6d-d949-4320-99e1-a2a2576d581c"), 2 * LongestMessage)
    {
    }

    /// <inheritdoc/>
    public bool IsListening => IsSet(in _acknowledged);

    // USB HID 1.11, appendix E.10, with 16 bits a coordinate: buttons, then from 0 to 32767 in each direction.
    private static ReadOnlySpan<byte> ReportDescriptor =>
    [
        0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00,
        0x05, 0x09, 0x19, 0x01, 0x29, 0x03, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x03, 0x81, 0x02,
        0x75, 0x05, 0x95, 0x01, 0x81, 0x03,
        0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02,
        0xc0, 0xc0,
    ];

    private static ReadOnlySpan<byte> HidDescriptor => [9, 0x21, 0x01, 0x01, 0, 1, 0x22, 0, 0];

    /// <inheritdoc/>
    public bool TrySend(PointerState state)
    {
        Span<byte> report = stackalloc byte[ReportLength];
        report[0] = (byte)(state.Buttons & 7);
        BinaryPrimitives.WriteUInt16LittleEndian(report[1..], Math.Min(state.X, PointerState.Maximum));
        BinaryPrimitives.WriteUInt16LittleEndian(report[3..], Math.Min(state.Y, PointerState.Maximum));
        Gate.Enter();
        bool sent = _acknowledged && TrySend(InputReport, report);
        Gate.Exit();
        return sent;
    }

    private protected override void Begin() => _accepted = _acknowledged = false;

    private protected override void Take(ReadOnlySpan<byte> message)
    {
        if (Word(message, 0) != PipeData || message.Length < Header)
        {
            return;
        }

        uint type = Word(message, PipeHeader);
        if (type == ProtocolRequest)
        {
            uint version = Word(message, Header);
            Begin();
            _accepted = version == Version;
            Span<byte> answer = stackalloc byte[5];
            BinaryPrimitives.WriteUInt32LittleEndian(answer, version);
            answer[4] = _accepted ? (byte)1 : (byte)0;
            TrySend(ProtocolResponse, answer);
            if (_accepted)
            {
                Describe();
            }
        }
        else if (type == InitialDeviceInfoAck)
        {
            _acknowledged = _accepted;
        }
    }

    private protected override void Save(IStateWriter state)
    {
        state.Write(1, _accepted);
        state.Write(2, _acknowledged);
    }

    private protected override bool Restore(IStateReader state)
    {
        return state.TryTake(1, ref _accepted) & state.TryTake(2, ref _acknowledged) && (!_acknowledged || _accepted) && (!_accepted || Channel is not null);
    }

    private void Describe()
    {
        Span<byte> info = stackalloc byte[DeviceInfoLength + HidDescriptor.Length + ReportDescriptor.Length];
        info.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(info, DeviceInfoLength);
        BinaryPrimitives.WriteUInt16LittleEndian(info[4..], Vendor);
        BinaryPrimitives.WriteUInt16LittleEndian(info[6..], Product);
        HidDescriptor.CopyTo(info[DeviceInfoLength..]);
        BinaryPrimitives.WriteUInt16LittleEndian(info[(DeviceInfoLength + HidDescriptor.Length - 2)..], (ushort)ReportDescriptor.Length);
        ReportDescriptor.CopyTo(info[(DeviceInfoLength + HidDescriptor.Length)..]);
        TrySend(InitialDeviceInfo, info);
    }

    private bool TrySend(uint type, ReadOnlySpan<byte> body)
    {
        Span<byte> message = stackalloc byte[LongestMessage];
        message.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(message, PipeData);
        BinaryPrimitives.WriteInt32LittleEndian(message[4..], Header - PipeHeader + body.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(message[PipeHeader..], type);
        BinaryPrimitives.WriteInt32LittleEndian(message[(PipeHeader + 4)..], body.Length);
        body.CopyTo(message[Header..]);
        return TrySend(message[..((Header + body.Length + 7) & ~7)]);
    }
}
