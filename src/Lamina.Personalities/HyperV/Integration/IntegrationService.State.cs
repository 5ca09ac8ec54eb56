using Lamina.Machine.Devices;
using Lamina.Personalities.HyperV.VmBus;

namespace Lamina.Personalities.HyperV.Integration;

/// <content>The saved state: what was agreed on, and whether the guest owes an answer.</content>
public abstract partial class IntegrationService
{
    /// <summary>The first field that is a service's own.</summary>
    private const ushort OwnFields = 8;

    void IVmBusDevice.Save(IStateWriter state)
    {
        state.Write(1, (ulong)_state);
        state.Write(2, (ulong)Pack(_framework));
        state.Write(3, (ulong)Pack(Version));
        Save(state, OwnFields);
    }

    bool IVmBusDevice.Restore(IStateReader state)
    {
        byte saved = 0;
        uint framework = 0;
        uint version = 0;
        bool valid = state.TryTake(1, (byte)State.Refused, ref saved) & state.TryTake(2, ref framework) & state.TryTake(3, ref version);
        State before = (State)saved;
        (_framework, Version) = (Unpack(framework), Unpack(version));
        valid = valid && before == State.Closed == _channel is null
            && (before is not (State.Idle or State.Asked) || (FrameworkVersions.AsSpan().Contains(_framework) && _versions.AsSpan().Contains(Version)))
            && Restore(state, OwnFields);
        _state = valid ? before : _channel is null ? State.Closed : State.Opened;
        if (!valid)
        {
            OnLost();
        }

        return valid;
    }

    /// <summary>Writes what a service has of its own.</summary>
    private protected abstract void Save(IStateWriter state, ushort field);

    /// <summary>Reads it.</summary>
    /// <returns><c>false</c> if it cannot be; the service is then told that its driver is lost.</returns>
    private protected abstract bool Restore(IStateReader state, ushort field);

    private static uint Pack(ServiceVersion version) => version.Major | ((uint)version.Minor << 16);

    private static ServiceVersion Unpack(uint version) => new((ushort)version, (ushort)(version >> 16));
}
