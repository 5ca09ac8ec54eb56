using System.Buffers.Binary;
using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Machine.Input;
using Lamina.Personalities.Xen.Bus;
using Lamina.Personalities.Xen.Events;

namespace Lamina.Personalities.Xen.Screen;

/// <summary>The back end of a keyboard and a pointer (xen/include/public/io/kbdif.h): a page that the guest has granted, with a ring of events for it.</summary>
public sealed class KeyboardBackEnd : BackEnd, IEventTarget, IKeyboard, IPointer
{
    private const ulong InConsumer = 0;
    private const ulong InProducer = 4;
    private const ulong InRing = 1024;
    private const uint RingLength = 51;
    private const int EventLength = 40;
    private const byte KeyEvent = 3;
    private const byte PositionEvent = 4;
    private const uint LeftButton = 0x110;
    private const int ButtonCount = 3;
    private const ushort SavedEnd = 2;

    private readonly int _width;
    private readonly int _height;
    private uint _grant;
    private uint _port;
    private uint _produced;
    private byte _buttons;
    private bool _open;
    private bool _absolute;

    /// <summary>Makes it and puts it on the bus.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="gate">Its own lock.</param>
    /// <param name="width">Pixels of a line of the screen beside it.</param>
    /// <param name="height">Its lines.</param>
    public KeyboardBackEnd(XenBusController bus, ILock gate, int width, int height)
        : base(bus, gate, "vkbd", 0, 0)
    {
        ArgumentNullException.ThrowIfNull(bus);
        (_width, _height) = (width, height);
        bus.Add(this);
    }

    bool IKeyboard.IsListening => IsListening(pointer: false);

    bool IPointer.IsListening => IsListening(pointer: true);

    /// <inheritdoc/>
    private protected override bool IsIdle => true;

    /// <inheritdoc/>
    public bool TrySend(KeyStroke stroke)
    {
        Span<byte> key = stackalloc byte[EventLength];
        key.Clear();
        key[0] = KeyEvent;
        key[1] = stroke.IsReleased ? (byte)0 : (byte)1;
        BinaryPrimitives.WriteUInt32LittleEndian(key[4..], KeyCodes.Get(stroke));
        Gate.Enter();
        bool sent = stroke.IsValid && KeyCodes.Get(stroke) != 0 && HasRoom(1) && TryPut(key);
        Tell(sent);
        Gate.Exit();
        return sent;
    }

    /// <inheritdoc/>
    public bool TrySend(PointerState state)
    {
        Span<byte> happened = stackalloc byte[EventLength];
        happened.Clear();
        happened[0] = PositionEvent;
        BinaryPrimitives.WriteInt32LittleEndian(happened[4..], Scale(state.X, _width));
        BinaryPrimitives.WriteInt32LittleEndian(happened[8..], Scale(state.Y, _height));
        Gate.Enter();
        bool sent = _absolute && HasRoom(1 + ButtonCount) && TryPut(happened);
        for (int i = 0; sent && i < ButtonCount; i++)
        {
            int bit = 1 << i;
            if (((state.Buttons ^ _buttons) & bit) != 0)
            {
                happened.Clear();
                happened[0] = KeyEvent;
                happened[1] = (state.Buttons & bit) != 0 ? (byte)1 : (byte)0;
                BinaryPrimitives.WriteUInt32LittleEndian(happened[4..], LeftButton + (uint)i);
                TryPut(happened);
            }
        }

        _buttons = sent ? state.Buttons : _buttons;
        Tell(sent);
        Gate.Exit();
        return sent;
    }

    /// <summary>The guest has taken events.</summary>
    void IEventTarget.OnEvent()
    {
    }

    /// <inheritdoc/>
    private protected override void Describe()
    {
        PutBack("feature-abs-pointer"u8, 1);
        PutBack("width"u8, (ulong)_width);
        PutBack("height"u8, (ulong)_height);
    }

    /// <inheritdoc/>
    private protected override bool TryConnect()
    {
        if (!TryReadFront("page-gref"u8, out uint grant) || !TryReadFront("event-channel"u8, out uint port) || !Domain.Grants.TryGet(grant, write: true, out ulong page, out _)
            || !Domain.Memory.TryRead(page + InProducer, out uint produced) || !Domain.Events.TryBind(port, this))
        {
            return false;
        }

        (_grant, _port, _produced, _buttons, _open) = (grant, port, produced, 0, true);
        _absolute = TryReadFront("request-abs-pointer"u8, out uint wanted) && wanted != 0;
        return true;
    }

    /// <inheritdoc/>
    private protected override void Disconnect()
    {
        if (_port != 0)
        {
            Domain.Events.Unbind(_port, this);
        }

        _port = 0;
        _open = _absolute = false;
    }

    /// <inheritdoc/>
    private protected override void Serve()
    {
    }

    /// <inheritdoc/>
    private protected override void Drain()
    {
    }

    /// <inheritdoc/>
    private protected override void SaveQueues(IStateWriter state, ushort field)
    {
        state.Write(field, _open);
        state.Write((ushort)(field + 1), _absolute);
        Domain.Events.SaveEnd(state, (ushort)(field + SavedEnd), _port, this);
        state.Write((ushort)(field + 4), (ulong)_grant);
        state.Write((ushort)(field + 5), (ulong)_produced);
        state.Write((ushort)(field + 6), (ulong)_buttons);
    }

    /// <inheritdoc/>
    private protected override bool RestoreQueues(IStateReader state, ushort field, bool mayBeOpen)
    {
        bool open = false;
        bool absolute = false;
        bool valid = state.TryTake(field, ref open) & state.TryTake((ushort)(field + 1), ref absolute) & Domain.Events.RestoreEnd(state, (ushort)(field + SavedEnd), this, out _port)
            & state.TryTake((ushort)(field + 4), ref _grant) & state.TryTake((ushort)(field + 5), ref _produced) & state.TryTake((ushort)(field + 6), ref _buttons);
        _open = valid && open;
        _absolute = _open && absolute;
        return valid && (mayBeOpen || !open) && (open || !absolute);
    }

    private static int Scale(ushort place, int length) => Math.Min(place, PointerState.Maximum) * (length - 1) / PointerState.Maximum;

    private bool IsListening(bool pointer)
    {
        Gate.Enter();
        bool listening = _open && IsRunning && (_absolute || !pointer);
        Gate.Exit();
        return listening;
    }

    // A guest that says to have taken what there never was ends its keyboard.
    private bool HasRoom(uint count)
    {
        if (!_open || !IsRunning || !Domain.Grants.TryGet(_grant, write: true, out ulong page, out _) || !Domain.Memory.TryRead(page + InConsumer, out uint consumed))
        {
            return false;
        }

        uint waiting = _produced - consumed;
        if (waiting > RingLength)
        {
            Fail("the ring's indices cannot be"u8);
            return false;
        }

        return RingLength - waiting >= count;
    }

    private bool TryPut(ReadOnlySpan<byte> happened)
    {
        if (!Domain.Grants.TryGet(_grant, write: true, out ulong page, out _))
        {
            return false;
        }

        Domain.Memory.TryWrite(page + InRing + (_produced % RingLength * EventLength), happened);
        _produced++;
        Interlocked.MemoryBarrier();
        Domain.Memory.TryWrite(page + InProducer, _produced);
        return true;
    }

    private void Tell(bool sent)
    {
        if (sent)
        {
            Domain.Events.Signal(_port, this);
        }
    }
}
