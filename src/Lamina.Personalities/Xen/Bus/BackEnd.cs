using System.Buffers.Text;
using System.Globalization;
using System.Text;
using Lamina.Machine;
using Lamina.Personalities.Xen.Store;

namespace Lamina.Personalities.Xen.Bus;

/// <summary>
/// The control domain's half of a device: what it says of itself in the store, and how it follows the states of the front end. Everything that a front end gets wrong ends its own device:
/// the back end goes to Closing and says why.
/// </summary>
public abstract partial class BackEnd : IStoreObserver
{
    private const int LongestName = 64;

    private readonly XenBusController _bus;
    private readonly byte[] _front;
    private readonly byte[] _back;
    private readonly byte[] _frontState;
    private XenBusState _state;
    private bool _closes;
    private bool _leaves;
    private bool _isGivenUp;

    private protected BackEnd(XenBusController bus, ILock gate, string type, int index, uint number)
    {
        _bus = bus;
        Gate = gate;
        Domain = bus.Domain;
        Type = type;
        Index = index;
        Number = number;
        _front = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"/local/domain/1/device/{type}/{number}"));
        _back = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"/local/domain/0/backend/{type}/1/{number}"));
        _frontState = [.. _front, .. "/state"u8];
    }

    /// <summary>The device's own lock.</summary>
    private protected ILock Gate { get; }

    /// <summary>The guest's domain.</summary>
    internal XenDomain Domain { get; }

    /// <summary>What kind of device it is: "vbd", "vif".</summary>
    internal string Type { get; }

    /// <summary>Which of those it is, from 0.</summary>
    internal int Index { get; }

    /// <summary>Its number among those.</summary>
    internal uint Number { get; }

    /// <summary>Whether the guest has given the device up after <see cref="RequestRemoval"/>. Any thread.</summary>
    internal bool IsGivenUp => Volatile.Read(ref _isGivenUp);

    /// <summary>Whether the front end may be served.</summary>
    private protected bool IsRunning { get; private set; }

    ReadOnlySpan<byte> IStoreObserver.Observed => _frontState;

    /// <summary>Whether nothing is under way that touches the guest's memory. With the lock held.</summary>
    private protected abstract bool IsIdle { get; }

    void IStoreObserver.OnChanged()
    {
        Gate.Enter();
        Follow();
        Gate.Exit();
    }

    /// <summary>Writes the device into the store. Without locks.</summary>
    internal void Publish()
    {
        XenStore store = _bus.Store;
        StorePermissions back = new(DomainId.Control, 0);
        back.TryAdd(DomainId.Guest, StorePermissions.Read);
        store.Put(_front, default, new StorePermissions(DomainId.Guest, 0));
        store.Put(_back, default, back);
        PutFront("backend"u8, _back);
        PutFront("backend-id"u8, 0);
        PutBack("frontend"u8, _front);
        PutBack("frontend-id"u8, DomainId.Guest);
        PutBack("online"u8, 1);
        Describe();
        PutFront("state"u8, (ulong)XenBusState.Initialising);
        _closes = false;
        SetState(XenBusState.InitWait);
    }

    /// <summary>Begins to serve.</summary>
    internal void Start()
    {
        Gate.Enter();
        IsRunning = true;
        Serve();
        Gate.Exit();
        OnStarted();
    }

    /// <summary>Ends that, and waits until nothing is under way.</summary>
    internal void Stop()
    {
        OnStopping();
        Gate.Enter();
        IsRunning = false;
        Gate.Exit();
        Drain();
    }

    /// <summary>Forgets the front end. A device that was to go is given up by that.</summary>
    internal void Reset()
    {
        Gate.Enter();
        Disconnect();
        Volatile.Write(ref _isGivenUp, _leaves);
        Gate.Exit();
        Drain();
    }

    /// <summary>Asks the front end to close for good. Any thread, without locks.</summary>
    internal void RequestRemoval()
    {
        Gate.Enter();
        if (!_leaves)
        {
            _leaves = true;
            PutBack("online"u8, 0);

            // Whoever has not connected has nothing to give back.
            SetState(_state is XenBusState.Closed or XenBusState.InitWait ? XenBusState.Closed : XenBusState.Closing);
        }

        Gate.Exit();
    }

    /// <summary>Takes the device out of the store. Without locks.</summary>
    internal void Withdraw()
    {
        _bus.Store.Remove(this);
        _bus.Store.Remove(_front);
        _bus.Store.Remove(_back);
        _bus.TellGuest();
    }

    /// <summary>Writes what there is to say of the device.</summary>
    private protected abstract void Describe();

    /// <summary>Takes the front end's rings. With the lock held.</summary>
    /// <returns><c>false</c> if there is something wrong with them.</returns>
    private protected abstract bool TryConnect();

    /// <summary>Gives the rings back: nothing that begins afterwards touches them. With the lock held.</summary>
    private protected abstract void Disconnect();

    /// <summary>Looks at the rings. With the lock held.</summary>
    private protected abstract void Serve();

    /// <summary>Waits until nothing is under way. Without the lock.</summary>
    private protected abstract void Drain();

    /// <summary>It serves. Without the lock.</summary>
    private protected virtual void OnStarted()
    {
    }

    /// <summary>It is about to end to serve. Without the lock.</summary>
    private protected virtual void OnStopping()
    {
    }

    /// <summary>The front end has broken the protocol. With the lock held.</summary>
    private protected void Fail(ReadOnlySpan<byte> reason)
    {
        Disconnect();
        PutBack("error"u8, reason);
        SetState(XenBusState.Closing);
    }

    /// <summary>Something that the front end has read is different: it is to look again. With the lock held.</summary>
    private protected void TellAgain()
    {
        if (_state == XenBusState.Connected)
        {
            SetState(XenBusState.Connected);
        }
    }

    /// <summary>Nothing is under way any more. With the lock held.</summary>
    private protected void OnIdle()
    {
        if (_closes)
        {
            _closes = false;
            SetState(XenBusState.Closed);

            // A front end may have gone on meanwhile.
            Follow();
        }
    }

    /// <summary>Reads a number that the front end has written.</summary>
    private protected bool TryReadFront(ReadOnlySpan<byte> name, out uint value) => TryReadNumber(_front, name, out value);

    /// <summary>Reads a number of the back end's own, which may be from the machine that was saved.</summary>
    private protected bool TryReadBack(ReadOnlySpan<byte> name, out uint value) => TryReadNumber(_back, name, out value);

    /// <summary>Reads a text that the front end has written.</summary>
    /// <returns>Its length, or -1.</returns>
    private protected int GetFront(ReadOnlySpan<byte> name, Span<byte> text) => Get(_front, name, text);

    /// <summary>Writes a text.</summary>
    private protected void PutBack(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) => Put(_back, name, value);

    /// <summary>Writes a number.</summary>
    private protected void PutBack(ReadOnlySpan<byte> name, ulong value) => Put(_back, name, value);

    /// <summary>Writes a number for the front end.</summary>
    private protected void PutFront(ReadOnlySpan<byte> name, ulong value) => Put(_front, name, value);

    /// <summary>Writes a text for the front end.</summary>
    private protected void PutFront(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value) => Put(_front, name, value);

    /// <summary>Joins a directory and a name with a number in it, such as "queue-" and "/ring-ref".</summary>
    private protected static int Format(Span<byte> name, ReadOnlySpan<byte> before, uint number, ReadOnlySpan<byte> after)
    {
        before.CopyTo(name);
        number.TryFormat(name[before.Length..], out int digits, provider: CultureInfo.InvariantCulture);
        after.CopyTo(name[(before.Length + digits)..]);
        return before.Length + digits + after.Length;
    }

    private static int Join(Span<byte> path, ReadOnlySpan<byte> directory, ReadOnlySpan<byte> name)
    {
        directory.CopyTo(path);
        path[directory.Length] = (byte)'/';
        name.CopyTo(path[(directory.Length + 1)..]);
        return directory.Length + 1 + name.Length;
    }

    private void Follow()
    {
        Span<byte> text = stackalloc byte[16];
        int length = _bus.Store.Get(_frontState, text);
        uint number = 0;
        _ = length > 0 && Utf8Parser.TryParse(text[..length], out number, out _);
        switch ((XenBusState)number)
        {
            case XenBusState.Initialising when _state == XenBusState.Closed && !_leaves:
                SetState(XenBusState.InitWait);
                break;
            case XenBusState.Initialised or XenBusState.Connected when _state == XenBusState.InitWait:
                if (TryConnect())
                {
                    SetState(XenBusState.Connected);
                    Serve();
                }
                else
                {
                    Fail("the rings cannot be mapped"u8);
                }

                break;
            case XenBusState.Closing when _state is XenBusState.Connected or XenBusState.InitWait:
                Disconnect();
                SetState(XenBusState.Closing);
                break;
            case XenBusState.Closed or XenBusState.Unknown when _state != XenBusState.Closed:
                Disconnect();
                if (IsIdle)
                {
                    SetState(XenBusState.Closed);
                }
                else
                {
                    // The front end takes its pages back when it sees that.
                    _closes = true;
                }

                break;
        }
    }

    private void SetState(XenBusState state)
    {
        _state = state;
        if (state == XenBusState.Closed && _leaves)
        {
            Volatile.Write(ref _isGivenUp, true);
        }

        PutBack("state"u8, (ulong)state);
        _bus.TellGuest();
    }

    private bool TryReadNumber(ReadOnlySpan<byte> directory, ReadOnlySpan<byte> name, out uint value)
    {
        Span<byte> text = stackalloc byte[16];
        int length = Get(directory, name, text);
        value = 0;
        return length > 0 && Utf8Parser.TryParse(text[..length], out value, out int used) && used == length;
    }

    private int Get(ReadOnlySpan<byte> directory, ReadOnlySpan<byte> name, Span<byte> text)
    {
        Span<byte> path = stackalloc byte[StoreLimits.Path];
        return _bus.Store.Get(path[..Join(path, directory, name)], text);
    }

    private void Put(ReadOnlySpan<byte> directory, ReadOnlySpan<byte> name, ulong value)
    {
        Span<byte> text = stackalloc byte[LongestName];
        value.TryFormat(text, out int length, provider: CultureInfo.InvariantCulture);
        Put(directory, name, text[..length]);
    }

    private void Put(ReadOnlySpan<byte> directory, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        Span<byte> path = stackalloc byte[StoreLimits.Path];
        _bus.Store.Put(path[..Join(path, directory, name)], value);
    }
}
