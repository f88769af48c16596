"""Invoke's behaviour, row by row: what was looked at, which tests hold it, and whether we do the same or better.

The sections: 1 command line, 2 signatures, 3 order, 4 commands, 5 context, 6 configuration, 7 watchers, 8 collections and
programs, 9 public names, 10 deliberate differences.
"""

# ruff: noqa: E501  a row is a line
from __future__ import annotations

SECTIONS = range(1, 11)

# the test files by letter
FILES = {
    "L": "tests/scenarios/runner/test_rows_command_line.py",
    "S": "tests/scenarios/runner/test_rows_signature.py",
    "R": "tests/scenarios/runner/test_rows_run.py",
    "C": "tests/scenarios/runner/test_rows_config.py",
    "G": "tests/scenarios/runner/test_graph.py",
    "K": "tests/scenarios/runner/test_runner_classes.py",
    "T": "tests/scenarios/runner/test_terminal.py",
    "O": "tests/scenarios/runner/test_commands.py",
    "A": "tests/scenarios/runner/test_invoke_alias.py",
    "uC": "tests/unit/runner/test_runner_config.py",
    "uL": "tests/unit/runner/test_runner_collection.py",
    "uA": "tests/unit/runner/test_runner_arguments.py",
}

UNKNOWN = "L:test_what_nobody_knows_is_named_with_the_nearest_name_and_nothing_has_run"
VALUES = "S:test_a_line_gives_the_task_these_values"
REFUSED = "S:test_a_line_that_cannot_be_obeyed_is_one_line_and_runs_nothing"
DECORATOR = "S:test_options_of_the_decorator_do_what_they_do_in_invoke"
DECORATOR_NO = "S:test_options_of_the_decorator_refuse_what_they_refuse_in_invoke"
NONSENSE = "S:test_a_decorator_that_makes_no_sense_is_an_error"
THE_TASK = "S:test_the_decorated_name_is_a_task"
ORDER = "G:test_the_order_is_depth_first_and_each_call_runs_once_at_its_first_place"
FIELDS = "R:test_bash_runs_the_command_and_every_field_of_the_result_is_filled"
OPTIONS = "L:test_every_option_of_invoke_is_there"
BUILT = "C:test_collections_are_built_looked_up_and_called_in_every_way"
PROGRAM = "C:test_a_program_lists_helps_and_does_not_exit_when_told_not_to"
LAYERS = "C:test_each_layer_wins_over_those_before_it"
VARIABLES = "C:test_variables_set_what_exists_in_its_type"
FAILED = "R:test_a_failed_command_is_an_error_that_says_it_all"
STATUS = "R:test_the_programs_status_is_the_commands_and_task_command_and_status_are_named"
NAMES = "C:test_every_public_name_of_invoke_can_be_imported"
FLAT = "L:test_the_flat_list_is_sorted_aligned_wrapped_and_names_aliases_and_defaults"
WITH_CD = "R:test_directories_nest_begin_anew_and_are_passed_to_the_process"
SUDO = "R:test_sudo_is_called_as_invoke_calls_it_and_a_refusal_is_an_error"
MOCK = "R:test_a_mock_answers_for_commands"
CONTEXT = "R:test_the_context_reads_and_writes_the_configuration"
TASK_HELP = "L:test_help_of_a_task_has_its_docstring_positionals_defaults_and_forms"

# section | what | same or ours | tests
TABLE = f"""
1 | no words, no default task | ours | L:test_without_a_default_task_the_tasks_are_listed
1 | no words, default task of the root | same | L:test_a_default_task_of_the_root_runs_and_takes_no_options_without_its_name
1 | help of the tool | same | L:test_help_of_the_tool_needs_no_task_file
1 | help of a task, three spellings | same | L:test_help_of_a_task_runs_nothing_even_where_a_positional_is_missing
1 | help where a positional is missing | ours | L:test_help_of_a_task_runs_nothing_even_where_a_positional_is_missing
1 | a core flag where a positional is missing | ours | L:test_a_flag_of_the_tool_is_never_the_value_of_a_positional
1 | help of an unknown task | ours | {UNKNOWN}
1 | unknown task or flag | ours | {UNKNOWN}
1 | version | same | L:test_the_version_has_the_form_name_and_number
1 | version after a task | same | L:test_the_version_asked_for_after_a_task_leaves_the_task_alone
1 | core flags after a task | same | L:test_flags_of_the_tool_are_taken_after_a_task_unless_it_has_one_of_that_name
1 | a parameter named help | ours | L:test_a_parameter_named_help_is_an_error_where_it_is_declared
1 | the remainder | ours | L:test_what_follows_two_dashes_is_one_text_and_a_list
1 | no task file | same | L:test_no_task_file_is_an_error_that_says_what_was_looked_for
1 | task file of a parent folder | same | L:test_a_task_file_of_a_parent_folder_is_found_and_the_folder_is_not_changed
1 | -c NAME | same | L:test_another_module_or_package_may_be_named_and_its_folder_is_importable
1 | -r DIR | same | L:test_another_module_or_package_may_be_named_and_its_folder_is_importable
1 | uncaught exception | ours | L:test_an_error_in_a_task_is_a_traceback_of_its_own_frames_and_status_1
1 | Exit in four forms | same | L:test_exit_ends_the_run_with_its_message_and_status
1 | sys.exit | same | L:test_exit_ends_the_run_with_its_message_and_status
1 | Ctrl-C in Python code | ours | L:test_ctrl_c_in_python_code_is_silent_and_130
1 | Ctrl-C in a command | ours | L:test_ctrl_c_during_a_command_reaches_its_whole_group
1 | every core option | same | {OPTIONS}
1 | sudo password asked for first | same | L:test_the_sudo_password_is_asked_for_first_and_never_shown
1 | byte code | ours | L:test_byte_code_of_the_task_file_is_kept
1 | flat list | same | {FLAT}
1 | list: default of a sub-collection as an alias | same | {FLAT}
1 | list of a namespace | same | L:test_a_namespace_is_listed_by_itself
1 | list of an unknown namespace | same | L:test_a_namespace_is_listed_by_itself
1 | nested list | same | L:test_the_nested_list_is_a_tree_with_stars_and_the_words_of_collections
1 | JSON list | ours | L:test_the_json_list_nests_and_goes_by_the_names_that_can_be_called
1 | unknown list format | ours | L:test_an_unknown_form_and_a_depth_for_json_are_refused_in_one_line
1 | depth of the list, not with JSON | same | L:test_a_depth_sums_up_what_lies_deeper L:test_an_unknown_form_and_a_depth_for_json_are_refused_in_one_line
1 | module without tasks | same | L:test_a_module_without_tasks_says_so
1 | task help: usage, docstring, options | ours | {TASK_HELP}
1 | task help: positionals and defaults | ours | {TASK_HELP}
1 | completion of words | same | L:test_completion_of_words_gives_all_names_and_aliases
1 | completion of dashes | same | L:test_completion_of_dashes_gives_the_flags_of_the_task_or_of_the_tool
1 | completion scripts | same | L:test_a_completion_script_is_printed
2 | first parameter is the context, or an error | same | S:test_a_task_without_a_context_is_refused_where_it_is_declared S:test_the_context_may_have_any_name
2 | no default: positional or by flag, mixed | same | {VALUES}
2 | missing positional | same | {REFUSED}
2 | extra word | same | {REFUSED}
2 | positional that equals a task name | same | {VALUES}
2 | annotation only | ours | {VALUES}
2 | keyword-only without default | ours | {VALUES} {REFUSED}
2 | variadic | ours | {VALUES}
2 | text default: every spelling | same | {VALUES} S:test_an_empty_text_is_a_value
2 | default None | same | {VALUES}
2 | default of another type converts | same | {VALUES}
2 | tuple default | ours | {VALUES}
2 | text that does not convert | ours | {REFUSED}
2 | negative number | same | {VALUES}
2 | value that looks like a flag | same | {REFUSED}
2 | default False | ours | {VALUES}
2 | default True | same | {VALUES}
2 | underscores in flags | ours | {VALUES}
2 | one-letter name | ours | {VALUES}
2 | short flags in order | same | {VALUES} uA:test_short_letters_go_in_order_and_none_when_switched_off
2 | joined shorts | same | {VALUES}
2 | repeated plain option | ours | {VALUES}
2 | list default | same | {VALUES}
2 | dashed task names | ours | {VALUES} S:test_names_keep_their_underscores_when_asked_to
2 | outer underscore of a task | ours | {VALUES}
2 | bare decorator and called | same | {DECORATOR}
2 | positional arguments of the decorator | same | {DECORATOR} {NONSENSE}
2 | name | same | {DECORATOR} {DECORATOR_NO}
2 | aliases | same | {DECORATOR}
2 | default | same | {NONSENSE}
2 | help | same | S:test_help_goes_by_python_or_dashed_name {NONSENSE} S:test_unknown_help_is_let_pass_when_asked_to
2 | positional | same | {DECORATOR} {DECORATOR_NO}
2 | optional | same | {DECORATOR}
2 | optional: ambiguous | same | {DECORATOR_NO}
2 | iterable | same | {DECORATOR}
2 | incrementable | same | {DECORATOR}
2 | autoprint | same | {DECORATOR}
2 | auto_shortflags | same | {DECORATOR} {DECORATOR_NO}
2 | pre, post | same | {THE_TASK} {ORDER}
2 | klass | same | S:test_another_class_makes_the_task
2 | unknown option of the decorator | same | {NONSENSE}
2 | attributes of a task | same | {THE_TASK}
2 | calling a task | same | {THE_TASK}
2 | two tasks are equal by name and code | same | uL:test_tasks_are_equal_by_name_and_code
3 | one | same | {ORDER}
3 | two tasks with shared ones | same | {ORDER}
3 | a task of tasks | same | {ORDER}
3 | --no-dedupe | same | {ORDER}
3 | a shared task named too | same | {ORDER}
3 | a task named twice | same | {ORDER}
3 | other arguments are another call | same | {ORDER}
3 | calls among pre | same | {ORDER}
3 | calls written differently | same | S:test_calls_are_equal_only_when_written_alike
3 | pre of a post | same | {ORDER}
3 | its own pre | ours | G:test_a_circle_is_named_as_a_path
3 | shared ones are walked once | ours | G:test_many_diamonds_and_a_long_chain_take_no_longer_than_their_tasks
3 | dedupe by file and variable | ours | S:test_the_variable_for_deduplication_has_an_effect
3 | a failure ends the run | same | S:test_a_failure_ends_the_run_at_once_and_nothing_runs_before_all_is_read
3 | all is read before the first runs | same | S:test_a_failure_ends_the_run_at_once_and_nothing_runs_before_all_is_read
3 | arguments stay with their task | same | S:test_arguments_of_a_task_are_not_handed_to_its_pre_tasks
3 | Executor | same | S:test_the_executor_gives_values_by_task_the_last_of_each
4 | bash runs it | same | {FIELDS}
4 | output comes as it is made | same | O:test_output_comes_live_and_is_captured_whether_hidden_or_not
4 | our input is the command's | same | O:test_input_is_ours_or_a_stream_or_none
4 | a list | ours | R:test_a_list_is_run_as_it_is
4 | a background child holds the pipe | same | R:test_a_command_with_a_background_child_is_over_when_its_pipes_are
4 | stdout, stderr | same | {FIELDS} R:test_output_is_captured_hidden_or_not_and_with_a_terminal_all_is_stdout
4 | exited, return_code | same | {FIELDS} R:test_a_refused_answer_is_a_failure_with_its_reason
4 | ok, failed, bool | same | {FIELDS}
4 | command | ours | R:test_prefixes_nest_in_their_order_inside_the_directory
4 | shell, env, pty, encoding | same | {FIELDS}
4 | hide of a result | same | {FIELDS}
4 | pid, disowned | same | {FIELDS} R:test_a_disowned_command_gives_a_result_at_once
4 | tail | same | R:test_the_result_as_text_and_its_tail
4 | repr | same | {FIELDS}
4 | str | same | R:test_the_result_as_text_and_its_tail
4 | options are configuration too | same | R:test_every_option_is_a_value_of_the_configuration_too
4 | warn | same | R:test_warn_returns_what_failed_but_still_raises_a_time_limit
4 | hide | same | R:test_hide_hides_the_streams_that_it_names R:test_hide_of_anything_else_is_an_error_that_lists_what_there_is
4 | pty | same | R:test_output_is_captured_hidden_or_not_and_with_a_terminal_all_is_stdout
4 | echo | same | R:test_echo_is_bold_also_in_a_pipe_and_undone_by_hiding_everything
4 | dry | same | R:test_dry_shows_and_runs_nothing
4 | env | same | R:test_the_environment_is_added_to_or_replaced
4 | replace_env | same | R:test_the_environment_is_added_to_or_replaced
4 | asynchronous | same | R:test_a_started_command_gives_a_promise
4 | disown | same | R:test_a_disowned_command_gives_a_result_at_once
4 | asynchronous and disown | same | R:test_a_disowned_command_gives_a_result_at_once
4 | timeout | same | R:test_warn_returns_what_failed_but_still_raises_a_time_limit
4 | timeout uncaught | ours | R:test_a_time_limit_that_nobody_caught_is_one_line_and_124
4 | watchers | same | R:test_a_responder_answers_each_match_of_what_is_new
4 | in_stream, out_stream, err_stream | same | R:test_streams_may_be_ours
4 | echo_stdin | same | R:test_typed_input_is_echoed_when_asked_for
4 | encoding, fallback, shell | same | R:test_encoding_shell_and_fallback_are_options_of_a_call
4 | unknown option | ours | R:test_an_unknown_option_is_one_error
4 | UnexpectedExit | same | {FAILED}
4 | its text, hidden and with a terminal | same | {FAILED}
4 | last ten lines | same | R:test_only_the_last_lines_of_a_hidden_stream_are_shown
4 | status of the program | same | {STATUS}
4 | what is said of it | ours | {STATUS}
4 | hooks of a runner class | same | K:test_hooks_are_called_in_the_order_of_a_run K:test_a_runner_that_does_nothing_gives_results_all_the_same
5 | cd: nests, anew, cwd, any object | same | {WITH_CD}
5 | cd: what needs quoting | ours | {WITH_CD}
5 | prefix | same | R:test_prefixes_nest_in_their_order_inside_the_directory
5 | all together | ours | R:test_prefixes_nest_in_their_order_inside_the_directory
5 | sudo: its words | same | {SUDO}
5 | sudo with cd | ours | R:test_sudo_in_a_directory_runs_the_command_there
5 | sudo: refused | same | {SUDO}
5 | configuration through the context | same | {CONTEXT}
5 | remainder | same | {CONTEXT}
5 | run and sudo of the module | same | R:test_commands_of_the_module_have_a_context_of_their_own {SUDO}
5 | MockContext: every answer | same | {MOCK}
5 | MockContext: unknown command, Mock, command | same | {MOCK}
6 | order: collection to runtime file | same | {LAYERS}
6 | order: system file below the user's | same | uC:test_layers_win_in_their_order
6 | order: flags, changes of tasks | same | C:test_flags_win_over_files_and_changes_of_tasks_over_flags
6 | runtime file by variable | same | {LAYERS}
6 | forms of a file, the first counts | same | C:test_the_projects_file_may_have_these_forms C:test_the_first_form_that_exists_counts
6 | module in a Python file | same | C:test_a_module_in_a_python_file_is_refused
6 | TOML | ours | C:test_the_projects_file_may_have_these_forms C:test_a_missing_or_unknown_file_is_an_error
6 | missing file of -f | ours | C:test_a_missing_or_unknown_file_is_an_error
6 | deep merge, group against value | same | C:test_groups_merge_deeply_and_a_group_against_a_value_is_an_error
6 | variables: keys that exist | same | {VARIABLES}
6 | variables: bool | ours | {VARIABLES}
6 | variables: int and others, failing | ours | {VARIABLES} C:test_a_variable_that_does_not_fit_is_one_line
6 | variables: None | same | {VARIABLES}
6 | variables: list | ours | C:test_a_variable_that_does_not_fit_is_one_line
6 | variables: two keys of one name | ours | C:test_two_values_of_one_variable_name_are_an_error_where_it_is_set
6 | what core flags set | same | C:test_flags_win_over_files_and_changes_of_tasks_over_flags S:test_the_variable_for_deduplication_has_an_effect
6 | collections: the root wins | same | C:test_outer_collections_win_and_what_a_task_changes_stays
6 | changes stay | same | C:test_outer_collections_win_and_what_a_task_changes_stays
6 | variables anew for each task | same | C:test_a_variable_that_a_task_sets_counts_for_later_tasks
6 | defaults | same | C:test_defaults_are_those_of_invoke
6 | runners.local | same | C:test_a_runner_of_ones_own_takes_the_place_of_the_local_one
6 | tasks.executor_class | same | C:test_an_executor_of_ones_own_takes_the_place_of_ours C:test_an_executor_that_is_not_there_is_one_line
6 | tasks.collection_name, search_root | same | C:test_the_names_of_task_files_come_from_the_configuration_too
6 | Config(...), Config(defaults=...) | same | uC:test_the_first_argument_goes_on_top_of_the_defaults_and_defaults_replace_them
6 | items, attributes, dict methods | same | uC:test_values_are_reached_as_items_and_attributes_at_every_depth uC:test_it_has_the_methods_of_a_dict_and_a_key_named_like_one_is_reachable_both_ways
6 | missing key | same | uC:test_a_missing_value_lists_what_there_is
6 | new attributes | same | uC:test_values_may_be_set_and_removed_at_any_depth_and_outlive_a_new_merge
6 | clone | same | uC:test_a_clone_equals_its_model_until_one_of_them_changes
7 | Responder | same | R:test_a_responder_answers_each_match_of_what_is_new
7 | FailingResponder | same | R:test_a_refused_answer_is_a_failure_with_its_reason
7 | uncaught | ours | R:test_a_refused_answer_is_a_failure_with_its_reason
7 | classes of one's own | same | R:test_own_watchers_get_the_whole_text_so_far
8 | no namespace: every task, imported too | same | C:test_every_task_of_the_module_is_taken_imported_ones_too
8 | ns, namespace | same | C:test_a_namespace_holds_only_what_it_holds
8 | Collection(...) | same | {BUILT}
8 | from_module | same | {BUILT}
8 | add_task, add_collection | same | {BUILT}
8 | configure, configuration | same | {BUILT}
8 | look-up | same | {BUILT}
8 | calls by path, alias, default | same | {BUILT}
8 | one name twice | same | {BUILT}
8 | task and sub-collection of one name | same | {BUILT}
8 | no name inside another | same | {BUILT}
8 | anything else | same | {BUILT}
8 | Program: list, help | same | {PROGRAM}
8 | Program: exit=False | same | {PROGRAM}
9 | public names | same | {NAMES}
9 | errors | same | {NAMES}
9 | AmbiguousMergeError in its module | same | {NAMES}
9 | submodules | same | A:test_public_names_and_submodules_are_there
10 | 1 flags are never values | ours | L:test_help_of_a_task_runs_nothing_even_where_a_positional_is_missing L:test_a_flag_of_the_tool_is_never_the_value_of_a_positional
10 | 2 usage errors without a traceback | ours | {REFUSED} L:test_an_unknown_form_and_a_depth_for_json_are_refused_in_one_line R:test_an_unknown_option_is_one_error
10 | 3 annotations convert | ours | S:test_every_annotation_of_the_list_converts
10 | 4 --no-flag, underscores, one letter | ours | {VALUES}
10 | 5 nearest names | ours | {UNKNOWN}
10 | 6 task, command and status | ours | {STATUS}
10 | 7 circles are named, each task once | ours | G:test_a_circle_is_named_as_a_path G:test_many_diamonds_and_a_long_chain_take_no_longer_than_their_tasks
10 | 8 Ctrl-C ends with 130 | ours | L:test_ctrl_c_in_python_code_is_silent_and_130 T:test_ctrl_c_on_the_terminal_ends_the_command_and_the_run
10 | 8 no waiting between looks | ours | R:test_many_short_commands_do_not_wait_for_a_look
10 | 9 the process's directory, lists | ours | {WITH_CD} R:test_a_list_is_run_as_it_is
10 | 10 missing file, false, TOML | ours | C:test_a_missing_or_unknown_file_is_an_error {VARIABLES}
"""


def rows() -> list[tuple[int, str, str, tuple[str, ...]]]:
    """Each row: its section, what it is about, same or ours, its tests as (letter:name)."""
    found = []
    for line in TABLE.strip().splitlines():
        section, what, how, tests = line.split(" | ")
        found.append((int(section), what, how, tuple(tests.split())))
    return found
