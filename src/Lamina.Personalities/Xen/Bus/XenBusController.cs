using System.Globalization;
using System.Text;
using Lamina.Machine;
using Lamina.Machine.Devices;
using Lamina.Personalities.Xen.Console;
using Lamina.Personalities.Xen.Store;

namespace Lamina.Personalities.Xen.Bus;

/// <summary>
/// The control domain as far as the guest meets it: the store with what a toolstack would write there, the console, and the back ends. It also asks the guest to shut down, and for memory.
/// </summary>
public sealed partial class XenBusController : IDevice, IBalloon
{
    private static readonly string[] GuestDirectories = ["data", "drivers", "feature", "attr", "error", "device/suspend"];
    private static readonly string[] GuestControls = ["shutdown", "sysrq", "feature-poweroff", "feature-reboot", "feature-suspend", "feature-halt", "feature-s3", "feature-s4"];

    private const ulong PageSize = Machine.Memory.GuestMemory.PageSize;

    private readonly StoreConnection _connection;
    private BackEnd[] _backEnds = [];
    private readonly string _machine;
    private ulong _balloonTarget;
    private bool _running;

    /// <summary>Makes a control domain without devices; the lock is the store's.</summary>
    /// <param name="personality">The hypervisor.</param>
    /// <param name="storeLock">The store's own lock.</param>
    /// <param name="machine">The machine's name.</param>
    public XenBusController(XenPersonality personality, ILock storeLock, string machine)
    {
        ArgumentNullException.ThrowIfNull(personality);
        Domain = personality.Domain;
        _machine = machine;
        Store = new XenStore(storeLock);
        _connection = new StoreConnection(Domain, Store);
    }

    /// <inheritdoc/>
    public string Name => "xenbus";

    /// <summary>The console; null for none. Before the machine starts.</summary>
    public ConsoleRing? Console { get; set; }

    /// <summary>The guest's domain.</summary>
    internal XenDomain Domain { get; }

    /// <summary>The store.</summary>
    internal XenStore Store { get; }

    /// <summary>The devices.</summary>
    internal IReadOnlyList<BackEnd> BackEnds => _backEnds;

    /// <inheritdoc/>
    /// <remarks>The store says how much the guest is to have (memory/target, in KiB).</remarks>
    public ulong Target
    {
        get => Volatile.Read(ref _balloonTarget);
        set
        {
            Volatile.Write(ref _balloonTarget, Math.Min(value, Domain.Memory.Size) / PageSize * PageSize);
            PutTarget();
            TellGuest();
        }
    }

    /// <inheritdoc/>
    public ulong Size => Domain.BalloonedPages * PageSize;

    /// <summary>Adds a device. Before the machine starts, or then with <see cref="Insert"/>.</summary>
    public void Add(BackEnd backEnd)
    {
        Store.TryAdd(backEnd);
        _backEnds = [.. _backEnds, backEnd];
    }

    /// <summary>Shows the guest a device that was added while the machine runs. On the thread that starts and stops devices.</summary>
    public void Insert(BackEnd backEnd)
    {
        ArgumentNullException.ThrowIfNull(backEnd);
        backEnd.Publish();
        if (_running)
        {
            backEnd.Start();
        }
    }

    /// <summary>Asks the guest to give a device up. Any thread.</summary>
    public static void RequestRemoval(BackEnd backEnd)
    {
        ArgumentNullException.ThrowIfNull(backEnd);
        backEnd.RequestRemoval();
    }

    /// <summary>Whether the guest was asked to give it up. Any thread.</summary>
    public static bool IsLeaving(BackEnd backEnd)
    {
        ArgumentNullException.ThrowIfNull(backEnd);
        return backEnd.Leaves;
    }

    /// <summary>Whether the guest has given it up. Any thread.</summary>
    public static bool IsGivenUp(BackEnd backEnd)
    {
        ArgumentNullException.ThrowIfNull(backEnd);
        return backEnd.IsGivenUp;
    }

    /// <summary>Takes a device away that the guest has given up. On the thread that starts and stops devices.</summary>
    public void Remove(BackEnd backEnd)
    {
        ArgumentNullException.ThrowIfNull(backEnd);
        backEnd.Stop();
        backEnd.Withdraw();
        _backEnds = Array.FindAll(_backEnds, b => b != backEnd);
    }

    /// <summary>Asks the guest to switch itself off. Any thread.</summary>
    /// <returns><c>false</c> if it has not said that it knows how.</returns>
    public bool TryPowerOff() => TryAsk("/local/domain/1/control/feature-poweroff"u8, "poweroff"u8);

    /// <summary>Asks the guest to start again. Any thread.</summary>
    /// <returns><c>false</c> if it has not said that it knows how.</returns>
    public bool TryRestart() => TryAsk("/local/domain/1/control/feature-reboot"u8, "reboot"u8);

    /// <summary>Whether a guest that was asked to suspend itself has, and stands still. Any thread.</summary>
    public bool IsSuspended
    {
        get
        {
            Domain.Gate.Enter();
            bool suspended = Domain.IsSuspended;
            Domain.Gate.Exit();
            return suspended;
        }
    }

    /// <summary>Asks the guest to suspend itself: to freeze its programs and put its devices at rest. It then stands still until <see cref="EndSuspension"/>. Any thread.</summary>
    /// <returns><c>false</c> if it has not said that it knows how.</returns>
    public bool TrySuspend()
    {
        SetSuspension(true);
        bool asked = TryAsk("/local/domain/1/control/feature-suspend"u8, "suspend"u8);
        if (!asked)
        {
            EndSuspension();
        }

        return asked;
    }

    /// <summary>Lets the guest go on, where it stood. One that suspends itself later goes on at once. Any thread.</summary>
    public void EndSuspension() => SetSuspension(false);

    private void SetSuspension(bool holds)
    {
        Domain.Gate.Enter();
        Domain.HoldsSuspension = holds;
        Domain.IsSuspended &= holds;
        Domain.Gate.Exit();
    }

    private bool TryAsk(ReadOnlySpan<byte> feature, ReadOnlySpan<byte> request)
    {
        Span<byte> said = stackalloc byte[1];
        if (Store.Get(feature, said) != 1 || said[0] != '1')
        {
            return false;
        }

        Store.Put("/local/domain/1/control/shutdown"u8, request);
        TellGuest();
        return true;
    }

    /// <inheritdoc/>
    public void Start()
    {
        _running = true;
        _connection.SetRunning(true);
        Console?.Start();
        foreach (BackEnd backEnd in _backEnds)
        {
            backEnd.Start();
        }

        // What was written meanwhile.
        TellGuest();
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _running = false;
        _connection.SetRunning(false);
        Console?.Stop();
        foreach (BackEnd backEnd in _backEnds)
        {
            backEnd.Stop();
        }
    }

    /// <inheritdoc/>
    public void Reset()
    {
        foreach (BackEnd backEnd in _backEnds)
        {
            backEnd.Reset();
        }

        Domain.Gate.Enter();
        Domain.Events.Place(StoreConnection.Port, _connection);
        Domain.Parameters[XenDomain.StoreEventParameter] = StoreConnection.Port;
        Domain.Parameters[XenDomain.StorePageParameter] = SpecialPages.Store / Machine.Memory.GuestMemory.PageSize;
        if (Console is not null)
        {
            Domain.Events.Place(ConsoleRing.Port, Console);
            Domain.Parameters[XenDomain.ConsoleEventParameter] = ConsoleRing.Port;
            Domain.Parameters[XenDomain.ConsolePageParameter] = SpecialPages.Console / Machine.Memory.GuestMemory.PageSize;
        }

        Domain.Gate.Exit();
        Store.Gate.Enter();
        Store.Reset();
        _connection.Reset();
        Store.Gate.Exit();
        Console?.Reset();
        Publish();
    }

    /// <summary>Has the guest hear what was written. Without the store's lock.</summary>
    internal void TellGuest() => _connection.Run(receives: false);

    private void Publish()
    {
        const string Uuid = "6c616d69-6e61-4000-8000-000000000001";
        StorePermissions readable = new(DomainId.Control, 0);
        readable.TryAdd(DomainId.Guest, StorePermissions.Read);
        StorePermissions own = new(DomainId.Guest, 0);
        Store.Put("/local/domain/0/domid"u8, "0"u8);
        Store.Put("/local/domain/1"u8, default, readable);
        Put("vm", $"/vm/{Uuid}");
        Put("name", _machine);
        Put("domid", "1");
        Put("memory/static-max", (Domain.Memory.Size / 1024).ToString(CultureInfo.InvariantCulture));
        PutTarget();
        for (int i = 0; i < Domain.Processors.Length; i++)
        {
            Put(string.Create(CultureInfo.InvariantCulture, $"cpu/{i}/availability"), "online");
        }

        Store.Put(Encoding.ASCII.GetBytes($"/vm/{Uuid}"), default, readable);
        Store.Put(Encoding.ASCII.GetBytes($"/vm/{Uuid}/uuid"), Encoding.ASCII.GetBytes(Uuid));
        Store.Put(Encoding.ASCII.GetBytes($"/vm/{Uuid}/name"), Encoding.UTF8.GetBytes(_machine));
        Put("store/port", StoreConnection.Port.ToString(CultureInfo.InvariantCulture));
        Put("store/ring-ref", (SpecialPages.Store / Machine.Memory.GuestMemory.PageSize).ToString(CultureInfo.InvariantCulture));
        foreach (string directory in GuestDirectories)
        {
            Store.Put(Encoding.ASCII.GetBytes($"/local/domain/1/{directory}"), default, own);
        }

        foreach (string control in GuestControls)
        {
            Store.Put(Encoding.ASCII.GetBytes($"/local/domain/1/control/{control}"), default, own);
        }

        Put("control/platform-feature-multiprocessor-suspend", "1");
        foreach (BackEnd backEnd in _backEnds)
        {
            if (!backEnd.IsGivenUp)
            {
                backEnd.Publish();
            }
        }
    }

    private void Put(string name, string value) => Store.Put(Encoding.ASCII.GetBytes($"/local/domain/1/{name}"), Encoding.UTF8.GetBytes(value));

    private void PutTarget()
    {
        Span<byte> text = stackalloc byte[20];
        ((Domain.Memory.Size - Target) / 1024).TryFormat(text, out int length, provider: CultureInfo.InvariantCulture);
        Store.Put("/local/domain/1/memory/target"u8, text[..length]);
    }
}
