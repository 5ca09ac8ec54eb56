using System.Globalization;
using Lamina.Machine.Devices;
using Lamina.Personalities.Xen.Console;
using Lamina.Personalities.Xen.Store;

namespace Lamina.Personalities.Xen.Bus;

/// <content>
/// The saved state of the store and of the guest's connection to it. The back ends have records of their own, which are taken back afterwards: all disks together, since they come and go, and each card.
/// </content>
public sealed partial class XenBusController
{
    private const ushort SavedStoreEnd = 2;
    private const ushort SavedConsoleEnd = 4;
    private const ushort SavedConnection = 16;
    private const ushort SavedStore = 32;

    /// <summary>The records of the back ends, to be saved and taken back after the bus's. When all network cards are there, and the screen.</summary>
    public IReadOnlyList<IDevice> CreateDeviceStates()
    {
        BackEnd[] cards = Array.FindAll(_backEnds, static b => b.Type is "vif" or "vkbd" or "vfb");
        return
        [
            new BackEndRecord(this, "blkback0", "vbd", null),
            .. Array.ConvertAll(cards, CreateDeviceState),
        ];
    }

    /// <summary>The record of a network card, or of the screen or the keyboard: for a card that has come while the machine runs.</summary>
    public IDevice CreateDeviceState(BackEnd backEnd)
    {
        ArgumentNullException.ThrowIfNull(backEnd);
        return new BackEndRecord(this, string.Create(CultureInfo.InvariantCulture, $"{GetRecordName(backEnd.Type)}{backEnd.Number}"), backEnd.Type, backEnd.Number);
    }

    private static string GetRecordName(string type) => type switch
    {
        "vkbd" => "kbdback",
        "vfb" => "fbback",
        _ => "netback",
    };

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        Store.Gate.Enter();
        state.Write(1, Target);
        Domain.Events.SaveEnd(state, SavedStoreEnd, StoreConnection.Port, _connection);
        if (Console is not null)
        {
            Domain.Events.SaveEnd(state, SavedConsoleEnd, ConsoleRing.Port, Console);
        }

        _connection.Save(state, SavedConnection);
        Store.Save(state, SavedStore);
        Store.Gate.Exit();
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        ulong target = 0;
        Store.Gate.Enter();
        bool valid = Store.Restore(state, SavedStore) & _connection.Restore(state, SavedConnection) & state.TryTake(1, ref target) && target <= Domain.Memory.Size && target % PageSize == 0
            && Domain.Events.RestoreEnd(state, SavedStoreEnd, _connection, out uint port) && port == StoreConnection.Port
            && (Console is null || (Domain.Events.RestoreEnd(state, SavedConsoleEnd, Console, out port) && port == ConsoleRing.Port));
        if (valid)
        {
            Volatile.Write(ref _balloonTarget, target);
        }

        Store.Gate.Exit();
        return valid;
    }

    /// <summary>Forgets a device's front end, and shows the device anew. While nothing runs.</summary>
    internal static void Reset(BackEnd backEnd)
    {
        backEnd.Reset();
        if (!backEnd.IsGivenUp)
        {
            backEnd.Publish();
        }
    }
}
