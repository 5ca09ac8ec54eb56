using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Machine.Input;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Input;

/// <summary>Hyper-V's keyboard, protocol 1.0 (Linux, drivers/input/serio/hyperv-keyboard.c).</summary>
public sealed class SyntheticKeyboard : SyntheticDevice, IKeyboard
{
    private const uint ProtocolRequest = 1;
    private const uint ProtocolResponse = 2;
    private const uint Event = 3;
    private const uint Version = 1 << 16;
    private const uint IsBreak = 2;
    private const uint IsE0 = 4;
    private const int MessageLength = 16;
    private bool _accepted;

    /// <summary>Makes it and puts it on the bus.</summary>
    public SyntheticKeyboard(VmBusController bus)
        : base(bus, "hvkeyboard", new Guid("f912ad6d-2b17-48ea-bd65-f927a61c7684"), new Guid("d34b2567-b9b6-42b9-8778-0a4ec0b955bf"), 2 * MessageLength)
    {
    }

    /// <inheritdoc/>
    public bool IsListening => IsSet(in _accepted);

    /// <inheritdoc/>
    public bool TrySend(KeyStroke stroke)
    {
        Span<byte> message = stackalloc byte[MessageLength];
        message.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(message, Event);
        BinaryPrimitives.WriteUInt16LittleEndian(message[4..], stroke.Make);
        BinaryPrimitives.WriteUInt32LittleEndian(message[8..], (stroke.IsReleased ? IsBreak : 0) | (stroke.IsExtended ? IsE0 : 0));
        Gate.Enter();
        bool sent = _accepted && stroke.IsValid && TrySend(message);
        Gate.Exit();
        return sent;
    }

    private protected override void Begin() => _accepted = false;

    private protected override void Take(ReadOnlySpan<byte> message)
    {
        // What its lamps are to show is not looked at.
        if (Word(message, 0) == ProtocolRequest)
        {
            _accepted = Word(message, 4) == Version;
            Span<byte> answer = stackalloc byte[sizeof(ulong)];
            BinaryPrimitives.WriteUInt32LittleEndian(answer, ProtocolResponse);
            BinaryPrimitives.WriteUInt32LittleEndian(answer[4..], _accepted ? 1u : 0);
            TrySend(answer);
        }
    }

    private protected override void Save(IStateWriter state) => state.Write(1, _accepted);

    private protected override bool Restore(IStateReader state) => state.TryTake(1, ref _accepted) && (!_accepted || Channel is not null);
}
