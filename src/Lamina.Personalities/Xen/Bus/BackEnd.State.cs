using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Bus;

/// <content>
/// The saved state, which is written when the device is stopped and nothing is under way. What it says of itself is in the store. One that was to go is still to go: the guest has read that.
/// </content>
public abstract partial class BackEnd
{
    /// <summary>Most fields of a device.</summary>
    internal const int SavedFields = 256;

    private protected const int SavedQueues = 16;

    /// <summary>Whether it was asked to close for good. Any thread.</summary>
    internal bool Leaves => Volatile.Read(ref _leaves);

    /// <summary>Writes its fields. Without locks.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        Gate.Enter();
        state.Write(field, (ulong)_state);
        state.Write((ushort)(field + 1), _leaves);
        SaveQueues(state, (ushort)(field + 2));
        Gate.Exit();
    }

    /// <summary>Reads them. After the event channels and the store; without locks.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        byte xenBusState = 0;
        bool leaves = false;
        Gate.Enter();
        Disconnect();
        bool valid = state.TryTake(field, (byte)XenBusState.Closed, ref xenBusState) & state.TryTake((ushort)(field + 1), ref leaves);
        _state = (XenBusState)xenBusState;
        _closes = false;
        if (valid && !RestoreQueues(state, (ushort)(field + 2), mayBeOpen: _state is XenBusState.Connected or XenBusState.Closing))
        {
            Disconnect();
            valid = false;
        }

        _leaves = leaves && valid;
        Volatile.Write(ref _isGivenUp, _leaves && _state == XenBusState.Closed);
        Gate.Exit();
        return valid;
    }

    /// <summary>Writes the rings and channels that are open. With the lock held.</summary>
    private protected abstract void SaveQueues(IStateWriter state, ushort field);

    /// <summary>Reads them. With the lock held, and after <see cref="Disconnect"/>.</summary>
    /// <param name="state">The fields.</param>
    /// <param name="field">The first of them.</param>
    /// <param name="mayBeOpen">Whether there may be any.</param>
    /// <returns><c>false</c> if they cannot be; then the device is to be disconnected.</returns>
    private protected abstract bool RestoreQueues(IStateReader state, ushort field, bool mayBeOpen);
}
