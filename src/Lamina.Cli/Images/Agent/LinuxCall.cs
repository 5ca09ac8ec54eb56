namespace Lamina.Cli.Images.Agent;

/// <summary>Numbers of the system calls that the agent makes (Linux on x86-64).</summary>
internal enum LinuxCall
{
    Read = 0,
    Write = 1,
    Open = 2,
    Close = 3,
    Poll = 7,
    SetSignalAction = 13,
    Control = 16,
    Duplicate = 33,
    Socket = 41,
    Bind = 49,
    Listen = 50,
    GetSocketName = 51,
    Fork = 57,
    ForkAndWait = 58,
    Execute = 59,
    Exit = 60,
    WaitFor = 61,
    Kill = 62,
    StartSession = 112,
    WaitForState = 247,
    Accept = 288,
    Pipe = 293,
}
