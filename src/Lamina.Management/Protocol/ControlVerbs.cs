namespace Lamina.Management.Protocol;

/// <summary>The verbs that machines of this version know.</summary>
public static class ControlVerbs
{
    /// <summary>Gives <see cref="MachineStatus"/>.</summary>
    public const string Status = "status";

    /// <summary>Gives <see cref="MachineStatistics"/>.</summary>
    public const string Statistics = "stats";

    /// <summary>Stops the processors and the machine's clock.</summary>
    public const string Pause = "pause";

    /// <summary>Goes on; takes <see cref="ResumeArguments"/>.</summary>
    public const string Resume = "resume";

    /// <summary>Wakes a guest that has suspended itself to RAM.</summary>
    public const string Wake = "wake";

    /// <summary>Asks the guest to start again.</summary>
    public const string Reboot = "reboot";

    /// <summary>Presses the reset button.</summary>
    public const string Reset = "reset";

    /// <summary>Presses the power button and waits; takes <see cref="StopArguments"/>, gives <see cref="StopResult"/>.</summary>
    public const string Stop = "stop";

    /// <summary>Ends the machine at once.</summary>
    public const string Kill = "kill";

    /// <summary>Attaches to the console; takes <see cref="ConsoleArguments"/>, and opens a stream of bytes both ways.</summary>
    public const string Console = "console";

    /// <summary>Gives what the console has shown; takes <see cref="LogArguments"/>, and opens a stream of bytes from the machine.</summary>
    public const string Logs = "logs";

    /// <summary>Saves the machine; takes <see cref="SnapshotArguments"/>, gives <see cref="SnapshotResult"/>.</summary>
    public const string Snapshot = "snapshot";

    /// <summary>Tells the size of the window that the console is shown in; takes <see cref="SizeArguments"/>.</summary>
    public const string Resize = "resize";

    /// <summary>Gives <see cref="AgentResult"/>: where the guest's agent is reached, which runs commands.</summary>
    public const string Agent = "agent";

    /// <summary>Gives an array of <see cref="DeviceResult"/>: the disks and network cards.</summary>
    public const string Devices = "devices";

    /// <summary>Attaches a disk or a network card; takes <see cref="AttachArguments"/>, gives <see cref="DeviceResult"/>.</summary>
    public const string Attach = "attach";

    /// <summary>Has the guest give up a disk or a network card, and waits; takes <see cref="DetachArguments"/>.</summary>
    public const string Detach = "detach";

    /// <summary>Makes a disk larger; takes <see cref="ResizeDiskArguments"/>.</summary>
    public const string ResizeDisk = "resize-disk";

    /// <summary>Changes the limits of a disk or a network card; takes <see cref="LimitArguments"/>, gives <see cref="DeviceResult"/>.</summary>
    public const string Limit = "limit";

    /// <summary>Says how much memory the guest is to have; takes <see cref="MemoryArguments"/>, gives <see cref="BalloonStatistics"/>.</summary>
    public const string Memory = "memory";

    /// <summary>Types on the guest's keyboard; takes <see cref="KeyArguments"/>.</summary>
    public const string Key = "key";

    /// <summary>Gives what the guest shows on its screen: opens a stream of bytes from the machine, a PNG file.</summary>
    public const string Screenshot = "screenshot";
}
