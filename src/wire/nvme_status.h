/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_status - what a completion says (Base 2.0, section 3.3.3.2.1).
 *
 * A status is 15 bits: status code (bits 7:0), its type (bits 10:8), command retry delay
 * (bits 12:11), more (bit 13), do not retry (bit 14). 0 is success.
 */
#ifndef WIRE_NVME_STATUS_H
#define WIRE_NVME_STATUS_H

#include "base/lang.h"

#define NVME_SC_MASK   0x07ffu /* type and code */
#define NVME_CRD_SHIFT 11
#define NVME_CRD_MASK  0x1800u
#define NVME_MORE      0x2000u
#define NVME_DNR       0x4000u
#define NVME_SCT_SHIFT 8

enum nvme_sct {
	NVME_SCT_GENERIC = 0,
	NVME_SCT_COMMAND = 1,
	NVME_SCT_MEDIA = 2,
	NVME_SCT_PATH = 3,
	NVME_SCT_VENDOR = 7,
};

/* Code, name, text: generic, of a command, of media, of a path. */
#define NVME_STATUSES(X)                                                                           \
	X(0x000, SUCCESS, "Successful Completion")                                                 \
	X(0x001, INVALID_OPCODE, "Invalid Command Opcode")                                         \
	X(0x002, INVALID_FIELD, "Invalid Field in Command")                                        \
	X(0x003, CID_CONFLICT, "Command ID Conflict")                                              \
	X(0x004, DATA_TRANSFER_ERROR, "Data Transfer Error")                                       \
	X(0x005, ABORTED_POWER_LOSS, "Commands Aborted due to Power Loss Notification")            \
	X(0x006, INTERNAL_ERROR, "Internal Error")                                                 \
	X(0x007, ABORT_REQUESTED, "Command Abort Requested")                                       \
	X(0x008, ABORTED_SQ_DELETION, "Command Aborted due to SQ Deletion")                        \
	X(0x009, ABORTED_FAILED_FUSED, "Command Aborted due to Failed Fused Command")              \
	X(0x00a, ABORTED_MISSING_FUSED, "Command Aborted due to Missing Fused Command")            \
	X(0x00b, INVALID_NAMESPACE, "Invalid Namespace or Format")                                 \
	X(0x00c, COMMAND_SEQUENCE_ERROR, "Command Sequence Error")                                 \
	X(0x00d, INVALID_SGL_SEGMENT, "Invalid SGL Segment Descriptor")                            \
	X(0x00e, INVALID_SGL_COUNT, "Invalid Number of SGL Descriptors")                           \
	X(0x00f, DATA_SGL_LENGTH_INVALID, "Data SGL Length Invalid")                               \
	X(0x010, METADATA_SGL_LENGTH_INVALID, "Metadata SGL Length Invalid")                       \
	X(0x011, SGL_TYPE_INVALID, "SGL Descriptor Type Invalid")                                  \
	X(0x012, INVALID_CMB_USE, "Invalid Use of Controller Memory Buffer")                       \
	X(0x013, PRP_OFFSET_INVALID, "PRP Offset Invalid")                                         \
	X(0x014, ATOMIC_WRITE_UNIT_EXCEEDED, "Atomic Write Unit Exceeded")                         \
	X(0x015, OPERATION_DENIED, "Operation Denied")                                             \
	X(0x016, SGL_OFFSET_INVALID, "SGL Offset Invalid")                                         \
	X(0x018, HOST_ID_INCONSISTENT, "Host Identifier Inconsistent Format")                      \
	X(0x019, KEEP_ALIVE_EXPIRED, "Keep Alive Timer Expired")                                   \
	X(0x01a, KEEP_ALIVE_INVALID, "Keep Alive Timeout Invalid")                                 \
	X(0x01b, ABORTED_PREEMPT, "Command Aborted due to Preempt and Abort")                      \
	X(0x01c, SANITIZE_FAILED, "Sanitize Failed")                                               \
	X(0x01d, SANITIZE_IN_PROGRESS, "Sanitize In Progress")                                     \
	X(0x01e, SGL_GRANULARITY_INVALID, "SGL Data Block Granularity Invalid")                    \
	X(0x01f, NOT_SUPPORTED_IN_CMB, "Command Not Supported for Queue in CMB")                   \
	X(0x020, NAMESPACE_WRITE_PROTECTED, "Namespace is Write Protected")                        \
	X(0x021, COMMAND_INTERRUPTED, "Command Interrupted")                                       \
	X(0x022, TRANSIENT_TRANSPORT_ERROR, "Transient Transport Error")                           \
	X(0x023, LOCKED_DOWN, "Command Prohibited by Command and Feature Lockdown")                \
	X(0x024, MEDIA_NOT_READY, "Admin Command Media Not Ready")                                 \
	X(0x080, LBA_OUT_OF_RANGE, "LBA Out of Range")                                             \
	X(0x081, CAPACITY_EXCEEDED, "Capacity Exceeded")                                           \
	X(0x082, NAMESPACE_NOT_READY, "Namespace Not Ready")                                       \
	X(0x083, RESERVATION_CONFLICT, "Reservation Conflict")                                     \
	X(0x084, FORMAT_IN_PROGRESS, "Format In Progress")                                         \
	X(0x100, INVALID_CQ, "Completion Queue Invalid")                                           \
	X(0x101, INVALID_QUEUE_ID, "Invalid Queue Identifier")                                     \
	X(0x102, INVALID_QUEUE_SIZE, "Invalid Queue Size")                                         \
	X(0x103, ABORT_LIMIT_EXCEEDED, "Abort Command Limit Exceeded")                             \
	X(0x105, ASYNC_EVENT_LIMIT_EXCEEDED, "Asynchronous Event Request Limit Exceeded")          \
	X(0x106, INVALID_FIRMWARE_SLOT, "Invalid Firmware Slot")                                   \
	X(0x107, INVALID_FIRMWARE_IMAGE, "Invalid Firmware Image")                                 \
	X(0x108, INVALID_INTERRUPT_VECTOR, "Invalid Interrupt Vector")                             \
	X(0x109, INVALID_LOG_PAGE, "Invalid Log Page")                                             \
	X(0x10a, INVALID_FORMAT, "Invalid Format")                                                 \
	X(0x10b, FIRMWARE_NEEDS_RESET, "Firmware Activation Requires Conventional Reset")          \
	X(0x10c, INVALID_QUEUE_DELETION, "Invalid Queue Deletion")                                 \
	X(0x10d, FEATURE_NOT_SAVEABLE, "Feature Identifier Not Saveable")                          \
	X(0x10e, FEATURE_NOT_CHANGEABLE, "Feature Not Changeable")                                 \
	X(0x10f, FEATURE_NOT_PER_NAMESPACE, "Feature Not Namespace Specific")                      \
	X(0x110, FIRMWARE_NEEDS_NSS_RESET, "Firmware Activation Requires NVM Subsystem Reset")     \
	X(0x111, FIRMWARE_NEEDS_CTRL_RESET, "Firmware Activation Requires Controller Level Reset") \
	X(0x112, FIRMWARE_NEEDS_TIME, "Firmware Activation Requires Maximum Time Violation")       \
	X(0x113, FIRMWARE_PROHIBITED, "Firmware Activation Prohibited")                            \
	X(0x114, OVERLAPPING_RANGE, "Overlapping Range")                                           \
	X(0x115, INSUFFICIENT_CAPACITY, "Namespace Insufficient Capacity")                         \
	X(0x116, NSID_UNAVAILABLE, "Namespace Identifier Unavailable")                             \
	X(0x118, NAMESPACE_ATTACHED, "Namespace Already Attached")                                 \
	X(0x119, NAMESPACE_PRIVATE, "Namespace Is Private")                                        \
	X(0x11a, NAMESPACE_NOT_ATTACHED, "Namespace Not Attached")                                 \
	X(0x11b, THIN_NOT_SUPPORTED, "Thin Provisioning Not Supported")                            \
	X(0x11c, CONTROLLER_LIST_INVALID, "Controller List Invalid")                               \
	X(0x11d, SELF_TEST_IN_PROGRESS, "Device Self-test In Progress")                            \
	X(0x11e, BOOT_WRITE_PROHIBITED, "Boot Partition Write Prohibited")                         \
	X(0x11f, INVALID_CONTROLLER_ID, "Invalid Controller Identifier")                           \
	X(0x120, INVALID_SECONDARY_STATE, "Invalid Secondary Controller State")                    \
	X(0x121, INVALID_RESOURCE_COUNT, "Invalid Number of Controller Resources")                 \
	X(0x122, INVALID_RESOURCE_ID, "Invalid Resource Identifier")                               \
	X(0x123, SANITIZE_PROHIBITED, "Sanitize Prohibited While Persistent Memory is Enabled")    \
	X(0x124, ANA_GROUP_INVALID, "ANA Group Identifier Invalid")                                \
	X(0x125, ANA_ATTACH_FAILED, "ANA Attach Failed")                                           \
	X(0x129, COMMAND_SET_NOT_SUPPORTED, "I/O Command Set Not Supported")                       \
	X(0x12a, COMMAND_SET_NOT_ENABLED, "I/O Command Set Not Enabled")                           \
	X(0x12b, COMMAND_SET_COMBINATION, "I/O Command Set Combination Rejected")                  \
	X(0x12c, INVALID_COMMAND_SET, "Invalid I/O Command Set")                                   \
	X(0x12d, IDENTIFIER_UNAVAILABLE, "Identifier Unavailable")                                 \
	/* of NVM commands and of fabrics commands: the same numbers, so they share a text */      \
	X(0x180, CONFLICTING_ATTRIBUTES, "Conflicting Attributes / Incompatible Format")           \
	X(0x181, INVALID_PROTECTION_INFO, "Invalid Protection Information / Controller Busy")      \
	X(0x182, READ_ONLY_RANGE, "Write to Read Only Range / Connect Invalid Parameters")         \
	X(0x183, COMMAND_SIZE_EXCEEDED, "Command Size Limit Exceeded / Connect Restart Discovery") \
	X(0x184, CONNECT_INVALID_HOST, "Connect Invalid Host")                                     \
	X(0x185, INVALID_QUEUE_TYPE, "Invalid Queue Type")                                         \
	X(0x190, DISCOVER_RESTART, "Discover Restart")                                             \
	X(0x191, AUTHENTICATION_REQUIRED, "Authentication Required")                               \
	X(0x280, WRITE_FAULT, "Write Fault")                                                       \
	X(0x281, UNRECOVERED_READ, "Unrecovered Read Error")                                       \
	X(0x282, GUARD_CHECK, "End-to-end Guard Check Error")                                      \
	X(0x283, APPTAG_CHECK, "End-to-end Application Tag Check Error")                           \
	X(0x284, REFTAG_CHECK, "End-to-end Reference Tag Check Error")                             \
	X(0x285, COMPARE_FAILURE, "Compare Failure")                                               \
	X(0x286, ACCESS_DENIED, "Access Denied")                                                   \
	X(0x287, UNWRITTEN_BLOCK, "Deallocated or Unwritten Logical Block")                        \
	X(0x288, STORAGE_TAG_CHECK, "End-to-End Storage Tag Check Error")                          \
	X(0x300, INTERNAL_PATH_ERROR, "Internal Path Error")                                       \
	X(0x301, ANA_PERSISTENT_LOSS, "Asymmetric Access Persistent Loss")                         \
	X(0x302, ANA_INACCESSIBLE, "Asymmetric Access Inaccessible")                               \
	X(0x303, ANA_TRANSITION, "Asymmetric Access Transition")                                   \
	X(0x360, CONTROLLER_PATH_ERROR, "Controller Pathing Error")                                \
	X(0x370, HOST_PATH_ERROR, "Host Pathing Error")                                            \
	X(0x371, ABORTED_BY_HOST, "Command Aborted By Host")

enum nvme_status {
#define NVME_STATUS_NAME_(code, name, text) NVME_##name = (code),
	NVME_STATUSES(NVME_STATUS_NAME_)
#undef NVME_STATUS_NAME_
		NVME_CONNECT_FORMAT = 0x180,
	NVME_CONNECT_BUSY = 0x181,
	NVME_CONNECT_INVALID_PARAMS = 0x182,
	NVME_CONNECT_RESTART_DISCOVERY = 0x183,
};

/* The words of the specification for type and code; "" for what is reserved or vendor specific. */
const char *nvme_status_text(uint16_t status);

/*
 * Both directions between the errors of bdev/bdev.h and a status: the one place. `error` is
 * negative or 0. What a retry cannot mend has NVME_DNR.
 */
uint16_t nvme_status_of_error(int error);
int nvme_status_to_error(uint16_t status);

#endif
